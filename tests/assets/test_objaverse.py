"""Models of Objaverse for the published classes: the right category for each, its own terms, no more than is wanted.

Silently wrong would be an object of another category, a licence that was not asked for, and an object twice.
"""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from glb_file import Glb
from services import ObjaverseService, cube
from typer.testing import CliRunner
from web_service import WebService

from torchmultiverse.assets import BuildRequest, build, open_pack
from torchmultiverse.assets.hub import HubDataset
from torchmultiverse.assets.licences import spdx
from torchmultiverse.assets.objaverse import Objaverse, lvis_matches
from torchmultiverse.cli.app import app
from torchmultiverse.errors import AssetError, MissingExtra
from torchmultiverse.scenes import class_table
from torchmultiverse.web import ServiceError


def uid(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("torchmultiverse.web.time.sleep", lambda seconds: None)


@pytest.fixture
def objaverse(web: WebService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjaverseService:
    return ObjaverseService(web, tmp_path / "hub", monkeypatch)


def test_the_table_of_categories_is_of_published_classes_and_takes_none_twice() -> None:
    objects = {one.name for one in class_table() if one.kind == "object"}
    assert set(lvis_matches()) <= objects
    same = [match.category for some in lvis_matches().values() for match in some if not match.wider]
    assert len(same) == len(set(same)) > 95
    assert {name for name, some in lvis_matches().items() if not some} == set()
    assert not set(same) & {match.category for some in lvis_matches().values() for match in some if match.wider}


def test_each_class_gets_objects_of_its_category(objaverse: ObjaverseService) -> None:
    for k in range(4):
        objaverse.add(uid(k), category="banana", user={"displayName": f"author {k}"})
    objaverse.add(uid(10), category="airplane")
    objaverse.add(uid(11), category="racket")
    objaverse.add(uid(11), category="tennis_racket")
    objaverse.publish()
    request = BuildRequest(classes=("Airliner", "Banana", "Fox", "Racket"), limit=3, quiet=True)
    pack, left = build("objaverse", request)
    found = [(item.name, item.class_name, item.attribution) for item in pack.manifest.assets]
    assert found == [
        ("Banana_1", "Banana", "author 0"), ("Banana_2", "Banana", "author 1"), ("Banana_3", "Banana", "author 2"),
        ("Racket_1", "Racket", "Ada L."),
    ]  # fmt: skip
    assert pack.manifest.assets[0].source == f"https://sketchfab.com/3d-models/{uid(0)}"
    assert "Fox: LVIS has no category of it" in left
    assert "Airliner: LVIS has no category of it" in left
    assert any(line.startswith("Racket: 1 of 3") for line in left)
    pack, _ = build("objaverse", BuildRequest(classes=("Airliner",), wider=True, quiet=True))
    assert pack.manifest.assets[0].name == "Airliner_1"
    assert "'airplane', holds other things than the class too" in pack.manifest.assets[0].notes[-1]


def test_filters_are_asked_before_anything_large_is_fetched(objaverse: ObjaverseService) -> None:
    objaverse.add(uid(0), category="banana", license="by-nc")
    objaverse.add(uid(1), category="banana", archives={"glb": {"size": 10**9}})
    objaverse.add(uid(2), category="banana", faceCount=10**6, archives=None)
    objaverse.add(uid(3), category="banana", license=None)
    objaverse.add(uid(4), category="banana", faceCount=0, archives=None)
    objaverse.add(uid(5), category="banana", license="cc0")
    objaverse.publish()
    request = BuildRequest(
        classes=("Banana",), licenses=("CC0-1.0", "CC-BY-4.0"), max_bytes=2**20, max_triangles=1000, quiet=True
    )
    pack, left = build("objaverse", request)
    assert [(item.name, item.license) for item in pack.manifest.assets] == [("Banana_1", "CC0-1.0")]
    assert [path for path in objaverse.asked() if path.endswith("glb")] == [f"glbs/000-001/{uid(5)}.glb"]
    assert left == [
        "Banana: 1 of 5; among the first 6 of 6 no others have the licence, size and faces that are asked for"
    ]


def test_what_lies_flat_is_tilted(objaverse: ObjaverseService) -> None:
    glb = Glb()
    glb.square({})
    glb.header["nodes"] = [{"mesh": 0, "rotation": [-(0.5**0.5), 0, 0, 0.5**0.5]}]
    objaverse.add(uid(0), glb.bytes(), category="banana")
    objaverse.add(uid(1), category="banana")
    objaverse.publish()
    pack, _ = build("objaverse", BuildRequest(classes=("Banana",), quiet=True))
    heights = [float(np.ptp(pack.model(f"Banana_{k}").pieces[0].vertices[:, 2])) for k in (1, 2)]
    assert heights[0] == pytest.approx(1.6 * np.sin(np.radians(35)), abs=0.01)
    assert heights[1] == pytest.approx(1.6, abs=0.01)
    assert "tilted by 35 degrees" in str(pack.manifest.assets[0].notes)


def test_what_is_broken_is_replaced_by_the_next(objaverse: ObjaverseService) -> None:
    objaverse.add(uid(0), b"nothing", category="banana")
    objaverse.add(uid(1), category="banana")
    objaverse.add(uid(2), category="banana")
    objaverse.publish()
    pack, left = build("objaverse", BuildRequest(classes=("Banana",), limit=1, quiet=True))
    assert [(item.name, item.source[-1]) for item in pack.manifest.assets] == [("Banana_1", "1")]
    assert len(left) == 1
    assert left[0].startswith("Banana_1: it is no GLB file")


def test_more_records_are_read_only_where_the_first_were_too_few(objaverse: ObjaverseService) -> None:
    for k in range(40):
        objaverse.add(uid(k), category="banana", license="by" if k in (0, 39) else "by-nc")
    objaverse.publish()
    pack, _ = build("objaverse", BuildRequest(classes=("Banana",), limit=1, licenses=("CC-BY-4.0",), quiet=True))
    assert [path for path in objaverse.asked() if path.startswith("meta")] == ["metadata/000-000.json.gz"]
    pack, _ = build("objaverse", BuildRequest(classes=("Banana",), limit=2, licenses=("CC-BY-4.0",), quiet=True))
    assert [item.source[-2:] for item in pack.manifest.assets] == ["00", "27"]


def test_a_path_that_leads_elsewhere_is_no_object(objaverse: ObjaverseService) -> None:
    objaverse.add(uid(0), category="banana")
    objaverse.publish()
    paths = {uid(0): f"glbs/000-000/../../{uid(0)}.glb"}
    objaverse.put("object-paths.json.gz", gzip.compress(json.dumps(paths).encode(), mtime=0))
    with pytest.raises(AssetError, match="is no place of an object"):
        Objaverse().glb(uid(0), 10**6)
    objaverse.put("object-paths.json.gz", b"no gzip")


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("object-paths.json.gz", b"no gzip", "object-paths.json.gz cannot be read: Not a gzipped file"),
        ("object-paths.json.gz", gzip.compress(b"[]", mtime=0), "object-paths.json.gz holds no paths by uid"),
        ("lvis-annotations.json.gz", gzip.compress(b"{", mtime=0), "lvis-annotations.json.gz cannot be read"),
        ("lvis-annotations.json.gz", gzip.compress(b'{"banana": 3}', mtime=0), "holds no lists of uids by category"),
        (
            "lvis-annotations.json.gz",
            gzip.compress(b'{"banana": []}', mtime=0),
            "Objaverse has nothing of what is asked for",
        ),
    ],
)
def test_the_repositorys_own_files_may_be_broken(
    path: str, data: bytes, said: str, objaverse: ObjaverseService
) -> None:
    objaverse.add(uid(0), category="banana")
    objaverse.publish()
    objaverse.put(path, data)
    with pytest.raises(AssetError, match=said):
        build("objaverse", BuildRequest(classes=("Banana",), quiet=True))


def test_the_hub_is_asked_within_limits_and_its_errors_are_said(
    objaverse: ObjaverseService, web: WebService, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = HubDataset("allenai/objaverse")
    objaverse.put("x.bin", b"abc" * 1000)
    with pytest.raises(AssetError, match=r"x\.bin has 0 MiB; at most 0 MiB are read"):
        hub.file("x.bin", limit=100)
    assert web.paths("GET") in ([], ["/api/agent-harnesses"]), "it was fetched before its size was looked at"
    web.faults["/datasets/allenai/objaverse/resolve/main/x.bin"] = [None, None, ("cut", 1000)]
    assert hub.file("x.bin").read_bytes() == b"abc" * 1000
    with pytest.raises(AssetError, match=r"x\.bin is larger than 0 MiB"):
        hub.file("x.bin", limit=100)
    with pytest.raises(AssetError, match=r"allenai/objaverse: there is no y\.bin"):
        hub.file("y.bin")
    for status, said in ((401, "answers 401"), (403, "answers 403")):
        web.faults["/datasets/allenai/objaverse/resolve/main/z.bin"] = [status] * 9
        with pytest.raises(ServiceError, match=said):
            hub.file("z.bin")
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"torchmultiverse\[assets\]"):
        HubDataset("a/b")


def test_licences_of_services_have_spdx_names() -> None:
    assert [spdx(said) for said in ("by", "CC-BY", "by-nc-sa", "cc0", "st", "ed", "", "free")] == [
        "CC-BY-4.0", "CC-BY-4.0", "CC-BY-NC-SA-4.0", "CC0-1.0", "", "", "", "",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_sheet_shows_what_was_built(objaverse: ObjaverseService) -> None:
    from PIL import Image

    objaverse.add(uid(0), cube((0.9, 0.05, 0.05)), category="banana")
    objaverse.publish()
    done = CliRunner().invoke(app, ["assets", "build", "objaverse", "--classes", "Banana", "--size", "64"])
    assert done.exit_code == 0, done.output
    with Image.open(open_pack("objaverse").folder / "sheet.png") as image:
        assert image.width >= 3 * 64
