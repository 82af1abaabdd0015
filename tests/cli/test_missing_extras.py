"""What a command says where a package of an extra is not installed: which one brings it, not a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from torchmultiverse.cli.app import EXTRAS
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import missing_extra
from torchmultiverse.farm import generate

_WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "timm", "open_clip", "lightly"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Without())
sys.argv[0] = "torchmultiverse"
from torchmultiverse.cli import main
main()
"""


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["train", "ssl", "DATA", "--out", "OUT"], "ssl"),
        (["analyze", "guillotine", "DATA", "--out", "OUT"], "ssl"),
        (["analyze", "rcdm", "sample", "DATA", "--data", "DATA"], "rcdm"),
        (["demo"], "eval"),
    ],
)
def test_commands_name_the_extra(command: list[str], extra: str, tmp_path: Path) -> None:
    generate(
        {"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 45]}, tmp_path / "d", MarkerEngine, size=32, progress=False
    )
    names = {"DATA": str(tmp_path / "d"), "OUT": str(tmp_path / "out")}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, *(names.get(word, word) for word in command)],
        capture_output=True, text=True, timeout=200, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr
    assert f"pip install 'torchmultiverse[{extra}]'" in done.stderr


def test_modules_have_other_names_than_packages() -> None:
    def said(module: str, command: str) -> str:
        return str(missing_extra(ModuleNotFoundError(name=module), command, EXTRAS.get(command)))

    assert "torchmultiverse[eval]" in said("open_clip.factory", "x")
    assert "torchmultiverse[faiss]" in said("faiss", "x")
    assert "torchmultiverse[assets]" in said("fast_simplification", "x")
    assert "torchmultiverse[rcdm]" in said("torch", "analyze rcdm sample")
    assert "torchmultiverse[rcdm]" in said("torch", "train decoder")
    assert "torchmultiverse[ssl]" in said("torch", "train ssl")
    assert missing_extra(ModuleNotFoundError(name="no_package_of_ours"), "x") is None
