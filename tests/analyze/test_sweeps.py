"""Records of sweeps. Silently wrong would be an old record whose variable no command knows any more."""

from __future__ import annotations

import json

import pytest

from torchmultiverse.analyze.sweeps import VARIABLES, MemorizationSweep


@pytest.mark.parametrize("version", [None, 1])
def test_a_sweep_over_pictures_is_one_over_images(tmp_path, version):
    old = {"dataset": "d", "vary": "pictures", "training": {}, "points": [], "probes": []}
    if version is None:
        old["probed"] = old.pop("probes")
    else:
        old["schema_version"] = version
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    found = MemorizationSweep.load(tmp_path)
    assert found.vary == "images"
    assert found.vary in VARIABLES
