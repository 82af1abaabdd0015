"""What lies on other machines is read as if it were here, and nothing is written there.

Silently wrong would be a copy that stays as it was when the original has changed, one that is cut off, or a listing
that names a file outside its folder.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.engines import MarkerEngine
from torchmultiverse.errors import DatasetError, MissingExtra
from torchmultiverse.farm import generate
from torchmultiverse.files import check_folder
from torchmultiverse.paths import address_of
from torchmultiverse.remote import local_copy
from torchmultiverse.store import open_dataset, open_images, verify
from torchmultiverse.stream import Dataset

SPEC = {"World_Name": ["Desert"], "Character_Name": ["Elephant", "Zebra"], "Camera_Yaw": [0, 90]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "remote"


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and its address on a web server."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _images(folder: Path) -> Path:
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (4, 4), (50 * number, 0, 0)).save(folder / name / "1.png")
    return folder


def test_an_address_goes_through_a_path() -> None:
    assert address_of(Path("s3://bucket/spar")) == address_of("s3://bucket/spar") == "s3://bucket/spar"
    assert address_of(Path("file:///data/spar")) == "file:///data/spar", "messages named another place"
    assert address_of("data/spar") is address_of("C:/data") is address_of("/a/b:c") is None
    assert local_copy("file:///data/spar") == local_copy(Path("file:///data/spar")) == Path("/data/spar")


def test_a_folder_of_that_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "spar").mkdir(parents=True)
    assert address_of("s3:/spar") is None


def test_a_dataset_on_a_server_is_read(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    generate(SPEC, folder / "small", MarkerEngine, size=(48, 48), check=0, progress=False)
    there = open_dataset(f"{address}/small")
    here = open_dataset(folder / "small")
    assert there.table().equals(here.table())
    assert [there.image_bytes(row) for row in range(4)] == [here.image_bytes(row) for row in range(4)]
    assert Dataset(f"{address}/small", ["camera_yaw"])[1]["camera_yaw"] == here[1]["camera_yaw"]
    assert not verify(f"{address}/small").problems
    with pytest.raises(DatasetError, match="written on this machine alone"):
        verify(f"{address}/small", drop_bad=True)
    told = CliRunner().invoke(app, ["data", "verify", f"{address}/small"])
    assert told.exit_code == 0, told.output


def test_images_in_folders_of_classes_are_read(served: tuple[Path, str]) -> None:
    folder, address = served
    _images(folder / "pets")
    images = open_images(f"{address}/pets")
    assert [(row["label"], row["image"].getpixel((0, 0))[0]) for row in images] == [("cat", 0), ("dog", 50)]


def test_what_changed_is_copied_again_and_what_is_gone_goes(memory: Any, cache: Path) -> None:
    memory.pipe({"/there/a.txt": b"one", "/there/sub/b.txt": b"two", "/there/.hidden": b"x"})
    copy = local_copy("memory://there")
    assert copy.is_relative_to(cache)
    assert copy.name == "there"
    (copy / "a.txt").write_bytes(b"ONE")  # seen again below only where it is not copied again
    memory.rm("/there/sub/b.txt")
    memory.pipe({"/there/c.txt": b"three"})
    assert local_copy("memory://there") == copy
    listed = {str(p.relative_to(copy)): p.read_bytes() for p in copy.rglob("*") if p.is_file() and p.name[0] != "."}
    assert listed == {"a.txt": b"ONE", "c.txt": b"three"}
    memory.pipe({"/there/a.txt": b"new"})
    assert (local_copy("memory://there") / "a.txt").read_bytes() == b"new"
    assert local_copy("memory://there/c.txt").read_bytes() == b"three"


def test_a_copy_that_broke_off_is_no_copy_and_goes_on(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe({"/there/a.bin": b"a" * 10, "/there/b.bin": b"b" * 10})
    info, cut = type(memory).info, ["/there/b.bin"]

    def longer(self: Any, path: str, **options: Any) -> Any:
        found = info(self, path, **options)
        return {**found, "size": 11} if found["name"] in cut else found

    monkeypatch.setattr(type(memory), "info", longer)
    listed = type(memory).find
    monkeypatch.setattr(
        type(memory), "find", lambda self, root, **_: {path: longer(self, path) for path in listed(self, root)}
    )
    with pytest.raises(DatasetError, match=r"b.bin broke off after 10 of 11 bytes.*run the same command again"):
        local_copy("memory://there")
    cut.clear()
    assert (local_copy("memory://there") / "b.bin").read_bytes() == b"b" * 10


@pytest.mark.parametrize("name", ["/there/../../etc/x", "/elsewhere/x", "/there/a\\b", "/there//x"])
def test_a_listing_that_leaves_its_folder_is_refused(
    memory: Any, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory.pipe({"/there/a.txt": b"one"})
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: {name: {"name": name, "size": 3, "type": "file"}})
    with pytest.raises(DatasetError, match="which is not inside it"):
        local_copy("memory://there")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("memory://nothing", "memory://nothing: nothing is there"),
        ("s33://bucket/x", r"no file system 's33'. Did you mean 's3'"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(address: str, told: str, memory: Any) -> None:
    with pytest.raises(DatasetError, match=told):
        open_dataset(address)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(MissingExtra, match=r"needs the package 's3fs': pip install 'torchmultiverse\[remote\]'"):
        local_copy("s3://bucket/x")
    with pytest.raises(MissingExtra, match=r"needs the package 'aiohttp'"):
        local_copy("http://127.0.0.1:9/x")
    # The extra does not bring what this one needs: what is said is what its file system says.
    with pytest.raises(DatasetError, match="Install s3fs to access S3") as found:
        local_copy("gs://bucket/x")
    assert not isinstance(found.value, MissingExtra)


def test_nothing_is_written_to_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="s3://bucket/out: data are written on this machine alone"):
        check_folder(Path("s3://bucket/out"))
    told = CliRunner().invoke(app, ["report", "s3://bucket/results"])
    assert isinstance(told.exception, DatasetError) or "--out" in told.output
    assert not list(tmp_path.iterdir())
