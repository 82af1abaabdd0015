"""Files of brackets within brackets are refused by name, wherever a file of somebody else is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.errors import TorchMultiverseError
from torchmultiverse.evaluation import load_protocol
from torchmultiverse.models import load_model
from torchmultiverse.scenes import load_spec
from torchmultiverse.store import open_dataset

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("manifest.json", lambda path: open_dataset(path.parent)),
        ("protocol.json", load_protocol),
        ("spec.json", load_spec),
        ("config.json", lambda path: load_model(f"ssl:{path.parent}")),
    ],
)
def test_it_is_refused_by_name(tmp_path: Path, file: str, read: Callable[[Path], Any]) -> None:
    (tmp_path / file).write_text(DEEP)
    with pytest.raises(TorchMultiverseError, match=tmp_path.name):
        read(tmp_path / file)
