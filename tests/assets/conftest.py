"""An own place for installed packs, and a folder of small files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trimesh
from web_service import WebService, web_service

sys.path.insert(0, str(Path(__file__).parent))

from small_files import block, manifest, write_obj


@pytest.fixture(autouse=True)
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of installed packs."""
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "packs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a textured box as GLB and OBJ, a coloured one as PLY, and a manifest."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "block.glb").write_bytes(block().export(file_type="glb"))
    write_obj(folder, "block", block())
    plain = trimesh.creation.box((2.0, 6.0, 4.0))
    plain.visual.vertex_colors = [255, 128, 0, 255]
    plain.export(folder / "plain.ply")
    manifest(folder, {"name": "Block", "file": "block.glb"})
    return folder


@pytest.fixture
def web() -> Iterator[WebService]:
    """A web service of this machine that answers what a test tells it to."""
    with web_service() as running:
        yield running
