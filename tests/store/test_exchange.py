"""Datasets that go out and come back.

What could be silently wrong: a picture under another picture's row, a number that became a text, a scene that has
another id after the journey, a subset or a hard negative that is lost, terms that get lost on the way.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torchmultiverse.engines import Catalogue
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.resources import data_folder
from torchmultiverse.store import open_dataset, verify
from torchmultiverse.store.combine import diff, merge
from torchmultiverse.store.exporting import export_folder, export_webdataset
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store.layouts import SUBSETS
from torchmultiverse.store.licence import PUG, licence_of, require_generative_use

ANIMALS = ["Camel", "Zebra"]
SPECS: dict[str, dict[str, Any]] = {
    "Animals": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["Desert", "Snow"], "Character_Name": ANIMALS, "Character_Scale": [0.7, 1.0],
            "Camera_Yaw": [0, 45], "Character_Texture": ["Default", "Grass"],
        },
    },
    "SPAR": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["Desert"], "Character_Name": ["blank", *ANIMALS], "Character2_Name": ["blank", *ANIMALS]
        },
        "linked": [[{"Character1_Pos": "left", "Character2_Pos": "right"},
                    {"Character1_Pos": "bottom", "Character2_Pos": "top"}]],
    },
    "ImageNet": {
        "kind": "one_at_a_time", "reference": {"World_Name": "SaltFlats"},
        "subsets": {
            "Worlds": {"factor": "World_Name", "levels": ["Desert", "SaltFlats"]},
            "Camera_Yaw": {"factor": "Camera_Yaw", "levels": [0, 45]},
            "Object_Yaw": {"factor": "Character_Rotation_Yaw", "levels": [0, 90]},
            "Object_Texture": {"factor": "Character_Texture", "levels": ["Default", "Grass"]},
            "Object_Scale": {"factor": "Character_Scale", "levels": [0.5, 1.6]},
        },
        "linked": [[{"Character_Name": name, "Character_Label": name.lower()} for name in ANIMALS]],
    },
    "AR4T": {
        "kind": "ar4t_relations", "worlds": ["Desert", "Museum"], "assets": ANIMALS, "pairs": 1, "single": 1,
    },
    "Custom": {"kind": "factorial", "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": ANIMALS}},
}  # fmt: skip
FAMILIES = list(SPECS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    for family, design in SPECS.items():
        spec = {"name": family.lower(), "family": family, "design": design, "render": {"size": [32, 32]}}
        generate(spec, folder / family, MarkerEngine, progress=False)
    return {family: folder / family for family in FAMILIES}


def content(path: Path, columns: list[str]) -> dict[str, Any]:
    dataset = open_dataset(path)
    rows = {}
    for index in range(len(dataset)):
        row = dataset.row(index, columns)
        rows[row["scene_id"]] = (row, dataset.image_bytes(index))
    assert len(rows) == len(dataset)
    return rows


def columns_of(path: Path) -> list[str]:
    dropped = {"image", "annotations", "engine", "render_ms"}
    return [c for c in open_dataset(path).columns if c not in dropped and not c.startswith("quality_")]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_and_back(family: str, made: dict[str, Path], tmp_path: Path) -> None:
    sheet = export_folder(open_dataset(made[family]), tmp_path / "out")
    back = import_dataset(sheet, tmp_path / "back")
    columns = columns_of(made[family])
    assert content(tmp_path / "back", columns) == content(made[family], columns)
    for name in back.factors:
        assert back.schema.field(name).type == open_dataset(made[family]).schema.field(name).type
    assert not verify(tmp_path / "back").problems
    assert back.manifest.identity["family"] == family
    # Our own pictures keep our own terms, also through a folder of PNG.
    assert licence_of(back.manifest) == licence_of(open_dataset(made[family]).manifest)
    assert "## Datasheet" in (tmp_path / "back" / "README.md").read_text()


PUBLISHED = {
    "Animals": ("labels_pug_animal.csv", "filename,world_name,character_name,character_scale,camera_yaw,"
                "character_texture"),
    "ImageNet": ("labels_pug_imagenet.csv", "filename,world_name,character_name,character_label,"
                 "character_rotation_yaw,character_rotation_roll,character_rotation_pitch,character_scale,camera_roll,"
                 "camera_pitch,camera_yaw,character_texture,scene_light"),
    "SPAR": ("labels.csv", "filename,world_name,character_name,character2_name,character1_pos,character2_pos,"
             "character_texture,character2_texture"),
    "AR4T": ("labels.csv", "Relation,Actor1Category,Actor2Category,Actor1Name,Actor2Name,Actor1Location,"
             "Actor2Location,Actor1Rotation,Actor2Rotation,Actor1Scale,Actor2Scale,Actor1Texture,Actor2Texture,"
             "Actor1Attribute,Actor2Attribute,Camera_roll,Camera_pitch,Camera_yaw,caption,alt_caption,Level,"
             "World.Name,filename,filename neg,filepath"),
}  # fmt: skip


def as_published(family: str, source: Path, root: Path) -> Path:
    """Make what the published archive looks like: only its columns, and nothing beside them that says whose it is."""
    name, header = PUBLISHED[family]
    sheet = export_folder(open_dataset(source), root)
    assert sheet.name == name
    with open(sheet, newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]).startswith(header)
    with open(sheet, "w", newline="") as file:
        writer = csv.DictWriter(file, header.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    (root / "provenance.json").unlink()
    return sheet


@pytest.mark.parametrize("family", list(PUBLISHED))
def test_a_published_archive(family: str, made: dict[str, Path], tmp_path: Path) -> None:
    as_published(family, made[family], tmp_path / "archive")
    back = import_dataset(tmp_path / "archive", tmp_path / "back", split="test")
    first = open_dataset(made[family])
    assert len(back) == len(first)
    assert licence_of(back.manifest) == PUG
    assert set(back.table(["split"])["split"].to_pylist()) == {"test"}
    rows = {back.image_bytes(i): back.row(i) for i in range(len(back))}
    same = [*back.factors, "caption"] if family != "AR4T" else ["Relation", "Actor1Location", "caption", "alt_caption"]
    for index in range(len(first)):
        row = rows[first.image_bytes(index)]
        if family == "ImageNet" and first.row(index, ["subset"])["subset"] != row["subset"]:
            # Pictures that differ in their subset only are the same file, so any of them was found.
            continue
        for column in same:
            assert row[column] == first.row(index, [column])[column], column
    if family == "AR4T":
        other = [i for i in range(len(back)) if back.row(i)["negative_scene_id"]]
        assert len(other) == 2 * 10 * 2
        for i in other:
            j = back.negative(i)
            assert j is not None
            assert back.row(j)["caption"] == back.row(i)["negative_caption"]
    if family == "SPAR":
        # The same factors are the same scene: what was rendered can be compared with what was published.
        assert diff(first, back).only_first == []


@pytest.mark.parametrize("family", ["Animals", "SPAR", "ImageNet"])
def test_a_parquet_mirror(family: str, made: dict[str, Path], tmp_path: Path) -> None:
    """The mirrors have the CSV's columns, ``image`` instead of a file name, and for ImageNet no subset."""
    first = open_dataset(made[family])
    names = PUBLISHED[family][1].split(",")[1:]
    tables = [pq.read_table(file, columns=["image", *names]) for file in first.files]
    (tmp_path / "mirror" / "data").mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), tmp_path / "mirror" / "data" / "train-00000-of-00001.parquet")
    back = import_dataset(tmp_path / "mirror", tmp_path / "back")
    assert back.manifest.identity["family"] == family
    assert [back.image_bytes(i) for i in range(len(back))] == [first.image_bytes(i) for i in range(len(first))]
    columns = ["scene_id", *names] + (["subset"] if family == "ImageNet" else [])
    for column in columns:
        assert back.table([column]) == first.table([column]) or column == "scene_id", column
    assert set(back.table(["scene_id"])["scene_id"].to_pylist()) == set(
        first.table(["scene_id"])["scene_id"].to_pylist()
    )


def test_what_is_wrong_with_an_archive_is_named(made: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "archive"
    sheet = as_published("Animals", made["Animals"], root)
    lines = sheet.read_text().splitlines()
    name = lines[3].split(",")[0]
    (found,) = root.rglob(name)
    found.rename(tmp_path / "away.png")
    with pytest.raises(DatasetError, match=rf"labels_pug_animal.csv:4: '{name}': no such file"):
        import_dataset(root, tmp_path / "a")
    (tmp_path / "away.png").rename(found)
    sheet.write_text("\n".join([*lines[:5], lines[5].replace("0.7", "big").replace("1.0", "big"), *lines[6:]]))
    with pytest.raises(DatasetError, match=r"labels_pug_animal.csv:6: character_scale = 'big'"):
        import_dataset(root, tmp_path / "a")
    sheet.write_text("\n".join(line.partition(",")[2] for line in lines))
    with pytest.raises(DatasetError, match="no column filepath or filename"):
        import_dataset(root, tmp_path / "a")
    sheet.write_text("filename,world_name,character_name,character_scale\n" + f"{name},Desert,Camel,1\n")
    with pytest.raises(DatasetError, match="needs the column 'camera_yaw'"):
        import_dataset(root, tmp_path / "a", family="Animals")
    with pytest.raises(DatasetError, match="no such folder"):
        import_dataset(tmp_path / "nothing", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_pictures_that_the_publisher_calls_broken_are_left_out_on_request(
    made: dict[str, Path], tmp_path: Path
) -> None:
    """A row that goes must not move the pictures of the others: each keeps its own."""
    sheet = export_folder(open_dataset(made["Animals"]), tmp_path / "a")
    text = sheet.read_text()
    sheet.write_text(text.replace("Camel", "Goldfish"))
    shutil.move(tmp_path / "a" / "Camel", tmp_path / "a" / "Goldfish")
    whole = import_dataset(tmp_path / "a", tmp_path / "all")
    kept = import_dataset(tmp_path / "a", tmp_path / "kept", leave_out="broken")
    assert len(kept) == len(whole) / 2
    assert set(kept.table(["character_name"])["character_name"].to_pylist()) == {"Zebra"}
    assert kept.manifest.identity["imported"]["left_out"] == "broken"
    every = content(tmp_path / "all", columns_of(tmp_path / "all"))
    assert content(tmp_path / "kept", columns_of(tmp_path / "kept")).items() <= every.items()
    some = import_dataset(tmp_path / "a", tmp_path / "some", leave_out="Camera_Yaw = 45 and World_Name = Snow")
    assert len(some) == len(whole) * 3 / 4
    with pytest.raises(DatasetError, match="leaves out no row"):
        import_dataset(tmp_path / "a", tmp_path / "no", leave_out="World_Name = Opera")
    export_folder(open_dataset(made["SPAR"]), tmp_path / "s")
    with pytest.raises(DatasetError, match="nothing is known to be broken in SPAR"):
        import_dataset(tmp_path / "s", tmp_path / "no", leave_out="broken")


def test_a_csv_cannot_reach_outside_its_folder(made: dict[str, Path], tmp_path: Path) -> None:
    sheet = as_published("Animals", made["Animals"], tmp_path / "archive")
    shutil.copy(next((tmp_path / "archive").rglob("*.png")), tmp_path / "secret.png")
    lines = sheet.read_text().splitlines()
    sheet.write_text("\n".join([lines[0], "../secret.png," + lines[1].partition(",")[2]]))
    with pytest.raises(DatasetError, match="no such file"):
        import_dataset(tmp_path / "archive", tmp_path / "a")


def test_an_interrupted_import_is_continued(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmultiverse.store.assemble.SHARD_ROWS", 5)
    as_published("Animals", made["Animals"], tmp_path / "archive")
    import_dataset(tmp_path / "archive", tmp_path / "calm")

    class Killed(BaseException):
        pass

    def tick(done: int, of: int) -> None:
        if done >= 10:
            raise Killed

    with pytest.raises(Killed):
        import_dataset(tmp_path / "archive", tmp_path / "b", tick=tick)
    stamp = (tmp_path / "b" / "data" / "train-00000.parquet").stat().st_mtime_ns
    import_dataset(tmp_path / "archive", tmp_path / "b")
    assert (tmp_path / "b" / "data" / "train-00000.parquet").stat().st_mtime_ns == stamp
    for file in (tmp_path / "calm" / "data").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "data" / file.name).read_bytes()
    with pytest.raises(DatasetError, match="holds something else"):
        import_dataset(tmp_path / "archive", tmp_path / "b", family="Custom")


def test_the_subsets_of_imagenet_are_those_of_the_spec() -> None:
    spec = json.loads((data_folder("scenes") / "imagenet.json").read_text())
    assert set(SUBSETS) == set(spec["design"]["subsets"])


def test_webdataset(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.store.exporting.TAR_ROWS", 10)
    dataset = open_dataset(made["SPAR"])
    files = export_webdataset(dataset, tmp_path / "a")
    again = export_webdataset(dataset, tmp_path / "b")
    assert [f.name for f in files] == ["000000.tar", "000001.tar"]
    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in again]
    samples: dict[str, dict[str, bytes]] = {}
    for file in files:
        with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                samples.setdefault(key, {})[kind] = tar.extractfile(member).read()  # type: ignore[union-attr]
    assert len(samples) == len(dataset)
    for index, (_, sample) in enumerate(sorted(samples.items())):
        assert sample["png"] == dataset.image_bytes(index)
        row = json.loads(sample["json"])
        assert row["scene_id"] == dataset.row(index, ["scene_id"])["scene_id"]
        assert sample["txt"].decode() == row["caption"]
    with pytest.raises(DatasetError, match="no earlier export"):
        export_webdataset(open_dataset(made["Animals"]), tmp_path / "a")


def test_diff(made: dict[str, Path], tmp_path: Path) -> None:
    first = open_dataset(made["Animals"])
    assert diff(first, first).same
    assert "nothing differs" in str(diff(first, first))
    part = first.where("camera_yaw = 0 and character_name = Camel")
    found = diff(first, part)
    assert len(found.only_first) == 32 - 8
    assert found.common == 8
    assert found.levels["camera_yaw"] == {"0": (16, 8), "45": (16, 0)}

    class Other(MarkerEngine):
        """Another engine: each picture is a little brighter."""

        def catalogue(self) -> Catalogue:
            return super().catalogue().model_copy(update={"fingerprint": "other"})

        def render(self, scenes: Any, options: Any = None) -> Any:
            for frame in super().render(scenes, options):
                frame.array()[:] = frame.array() // 2 + 10
                yield frame

    spec = {"name": "animals", "family": "Animals", "design": SPECS["Animals"], "render": {"size": [32, 32]}}
    generate(spec, tmp_path / "other", Other, progress=False)
    found = diff(first, open_dataset(tmp_path / "other"))
    assert not found.only_first
    assert found.images == found.common == 32
    assert 50 < found.largest < 128  # type: ignore[operator]
    assert found.values["engine"] == 32
    assert "32 pictures differ" in str(found)


def test_merge_keeps_where_rows_are_from(made: dict[str, Path], tmp_path: Path) -> None:
    spec = {
        "name": "more",
        "family": "SPAR",
        "design": json.loads(json.dumps(SPECS["SPAR"])),
        "render": {"size": [32, 32]},
    }
    spec["design"]["factors"]["World_Name"] = ["Snow"]
    generate(spec, tmp_path / "more", MarkerEngine, progress=False)
    as_published("SPAR", tmp_path / "more", tmp_path / "archive")
    real = import_dataset(tmp_path / "archive", tmp_path / "real")
    ours = open_dataset(made["SPAR"])
    with pytest.raises(DatasetError, match="--common keeps what all have"):
        merge([ours, real], tmp_path / "both")
    both = merge([ours, real], tmp_path / "both", common=True)
    assert len(both) == len(ours) + len(real)
    assert both.table(["source"])["source"].to_pylist() == ["spar"] * len(ours) + ["real"] * len(real)
    assert [both.image_bytes(i) for i in (0, len(ours))] == [ours.image_bytes(0), real.image_bytes(0)]
    assert not verify(tmp_path / "both").problems
    assert not licence_of(both.manifest).generative
    assert "CC-BY-NC-4.0" in licence_of(both.manifest).name
    assert [entry["name"] for entry in both.manifest.lineage] == ["spar", "real"]
    assert both.manifest.lineage[1]["lineage"][0]["imported"]["csv"] == "labels.csv"
    card = (tmp_path / "both" / "README.md").read_text()
    assert "Generative models must not be trained" in card
    with pytest.raises(DatasetError, match="both have the scene"):
        merge([ours, ours.where("character_name = Camel")], tmp_path / "twice")
    kept = merge([ours.where("character_name = Camel"), ours], tmp_path / "kept", keep_first=True)
    assert len(kept) == len(ours)
    with pytest.raises(DatasetError, match="families"):
        merge([ours, open_dataset(made["Animals"])], tmp_path / "no")


def test_generative_use_is_refused_unless_the_licence_is_named(made: dict[str, Path], tmp_path: Path) -> None:
    as_published("Animals", made["Animals"], tmp_path / "archive")
    manifest = import_dataset(tmp_path / "archive", tmp_path / "real").manifest
    with pytest.raises(DatasetError, match=r"must not be trained on it.*'CC-BY-NC-4\.0'"):
        require_generative_use(manifest, "real")
    with pytest.raises(DatasetError, match="'yes' is not its licence"):
        require_generative_use(manifest, "real", "yes")
    require_generative_use(manifest, "real", "CC-BY-NC-4.0")
    require_generative_use(open_dataset(made["Animals"]).manifest, "ours")


def test_datasets_reads_it(made: dict[str, Path], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    for family in ("Animals", "AR4T"):
        ours = open_dataset(made[family])
        files = [str(file) for file in ours.files]
        theirs = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / family))
        assert len(theirs) == len(ours)
        assert theirs.column_names == ours.columns
        row = theirs[5]
        assert np.array_equal(np.asarray(row["image"].convert("RGB")), np.asarray(ours.image(5).convert("RGB")))
        assert {c: row[c] for c in ours.factors} == ours.row(5, ours.factors)


def test_duckdb_reads_it(made: dict[str, Path]) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    ours = open_dataset(made["Animals"])
    files = str(made["Animals"] / "data" / "*.parquet")
    rows = duckdb.sql(
        f"select character_name, count(*), min(octet_length(image.bytes)) from '{files}' "
        "where camera_yaw = 45 group by character_name order by character_name"
    ).fetchall()
    assert [(name, count) for name, count, _ in rows] == [("Camel", 8), ("Zebra", 8)]
    assert all(size > 50 for *_, size in rows)
    assert len(ours) == duckdb.sql(f"select count(*) from '{files}'").fetchall()[0][0]


def test_labels_that_a_scene_only_implies_are_none_of_its_own_when_it_comes_back(tmp_path: Path) -> None:
    """Else every scene would be another one, and no row of the two datasets would be told to be the same."""
    above = {"Character1_Pos": ["top"], "Character2_Name": ["Camel"], "Character2_Pos": ["bottom"]}
    design = {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert"], "Character_Name": ["Penguin", "Zebra"], **above},
    }
    spec = {"name": "x", "family": "AR4T", "design": design, "render": {"size": [32, 32]}}
    generate(spec, tmp_path / "d", MarkerEngine, progress=False)
    first = open_dataset(tmp_path / "d")
    assert first.row(0, ["Relation"])["Relation"] == "above"
    import_dataset(export_folder(first, tmp_path / "out"), tmp_path / "back")
    columns = columns_of(tmp_path / "d")
    assert content(tmp_path / "back", columns) == content(tmp_path / "d", columns)
