"""What is stored, rendered once more. Silently wrong would be a comparison that overlooks a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.engines import Catalogue, Failure
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate
from torchmultiverse.farm.rerendering import rerender

SPEC = {
    "name": "s", "family": "AR4T", "render": {"size": [32, 32]},
    "design": {
        "kind": "ar4t_relations", "worlds": ["Desert", "Museum"], "assets": ["Camel", "Zebra"], "pairs": 1, "single": 1
    },
}  # fmt: skip


class Wrong(MarkerEngine):
    """One scene fails, one picture has one other pixel."""

    def catalogue(self) -> Catalogue:
        return super().catalogue().model_copy(update={"fingerprint": "other"})

    def render(self, scenes: Any, options: Any = None) -> Any:
        for number, frame in enumerate(super().render(scenes, options)):
            if number == 0:
                yield Failure(frame.scene, "it fell over")
                continue
            if number == 1:
                array = frame.array()
                array[3, 4, 2] = array[3, 4, 2] + 7 if array[3, 4, 2] < 100 else array[3, 4, 2] - 7
            yield frame


def test_agreement(tmp_path: Path) -> None:
    generate(SPEC, tmp_path / "d", MarkerEngine, progress=False)
    found = rerender(tmp_path / "d", MarkerEngine(), 10)
    assert found.same
    assert len(found.differences) == 10
    assert "10 pictures rendered once more, 10 the same" in str(found)
    assert set(rerender(tmp_path / "d", MarkerEngine(), 10, np.random.default_rng(5)).differences) != set(
        found.differences
    )
    assert len(rerender(tmp_path / "d", MarkerEngine(), 1000).differences) == 46
    wrong = rerender(tmp_path / "d", Wrong(), 10)
    assert not wrong.same
    assert sorted(wrong.differences.values()) == [0] * 8 + [7]
    assert list(wrong.failures.values()) == ["it fell over"]
    assert "1 differ by up to 7 of 255" in str(wrong)
    assert "rendered again with other" in str(wrong)
