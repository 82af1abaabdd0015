"""One split of Hugging Face ``datasets`` for each split of a dataset: rendered, exported, imported, merged.

What could be silently wrong: `load_dataset(FOLDER)["train"]` holds held-out rows; a row is in no split or in two; files
depend on how often a run was interrupted; a label is another picture's after an export.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.farm.parts import join
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import DatasetWriter, RowSchema, StoredDataset, open_dataset, verify
from torchmultiverse.store.combine import merge
from torchmultiverse.store.exporting import METADATA, export_folder, export_webdataset
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store.splits import split_name

datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")

SPEC: dict[str, Any] = {
    "name": "held", "family": "Animals",
    "design": {"kind": "factorial", "factors": {
        "World_Name": ["Desert", "Snow"], "Character_Name": ["Camel", "Zebra"], "Camera_Yaw": [0, 45, 90]}},
    "splits": {"test": ["World_Name = Snow and Character_Name = Zebra"], "held-out": ["Camera_Yaw = 45"]},
    "render": {"size": [48, 48]},
}  # fmt: skip
COUNTS = {"train": 6, "test": 3, "held_out": 3}


def load(folder: Path, cache: Path) -> dict[str, Any]:
    """Return the splits as the library sees them; it checks the card's counts by itself."""
    return dict(datasets.load_dataset(str(folder), cache_dir=str(cache)))


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file's data columns."""
    found = {}
    for file in sorted((folder / "data").iterdir()):
        sink = io.BytesIO()
        pq.write_table(pq.read_table(file).drop_columns(["render_ms"]), sink)
        found[file.name] = hashlib.sha256(sink.getvalue()).hexdigest()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "held"
    generate(SPEC, out, MarkerEngine, shard_rows=5, progress=False)
    return out


def test_what_is_rendered_has_a_split_for_each_split(made: Path, tmp_path: Path) -> None:
    found = load(made, tmp_path)
    assert {name: len(rows) for name, rows in found.items()} == COUNTS
    rules = parse_spec(SPEC).split_rules()
    for name, rows in found.items():
        for row in rows:
            assert split_name(rules.of(Scene.from_json(row["scene"], parse_spec(SPEC).table))) == name
            assert read_marker(np.array(row["image"])) == row["scene_id"]
    info = datasets.load_dataset_builder(str(made), cache_dir=str(tmp_path / "b")).info
    assert {name: split.num_examples for name, split in info.splits.items()} == COUNTS
    counted = found["train"].info.splits  # by the library, after it read everything
    for name in COUNTS:
        assert 0.5 * counted[name].num_bytes < info.splits[name].num_bytes < 2 * counted[name].num_bytes
    assert not verify(made).problems
    # Ours are numbered by shards of the design, whichever file they are in.
    ids = open_dataset(made).table(["scene_id"])["scene_id"].to_pylist()
    design = [scene.scene_id for scene in parse_spec(SPEC).build()]
    assert [set(ids[at : at + 5]) for at in (0, 5, 10)] == [set(design[at : at + 5]) for at in (0, 5, 10)]


def test_one_split_is_written_as_it_always_was(tmp_path: Path) -> None:
    spec = {**SPEC, "splits": {}}
    generate(spec, tmp_path / "d", MarkerEngine, shard_rows=5, progress=False)
    assert [file.name for file in open_dataset(tmp_path / "d").files] == [f"train-0000{n}.parquet" for n in range(3)]
    assert open_dataset(tmp_path / "d").manifest.identity["format"] == 1
    assert "  - split: train\n    path: data/*.parquet\n" in (tmp_path / "d" / "README.md").read_text()
    assert {name: len(rows) for name, rows in load(tmp_path / "d", tmp_path / "c").items()} == {"train": 12}


def test_neither_interruptions_nor_parts_nor_growth_change_a_file(made: Path, tmp_path: Path) -> None:
    calm = hashes(made)
    assert len(calm) == 6

    class Ends(MarkerEngine):
        """Gives two pictures and is interrupted."""

        left = 2

        def render(self, scenes: Any, options: Any = None) -> Any:
            for frame in super().render(scenes, options):
                if Ends.left == 0:
                    raise KeyboardInterrupt
                Ends.left -= 1
                yield frame

    for _ in range(20):
        Ends.left = 2
        try:
            generate(SPEC, tmp_path / "cut", Ends, shard_rows=5, check=0, progress=False)
            break
        except KeyboardInterrupt:
            continue
    assert open_dataset(tmp_path / "cut").manifest.complete
    assert hashes(tmp_path / "cut") == calm
    for part in range(2):
        generate(SPEC, tmp_path / "parts", MarkerEngine, shard_rows=5, part=(part, 2), progress=False)
    assert join(tmp_path / "parts") == 12
    assert hashes(tmp_path / "parts") == calm
    less = json.loads(json.dumps(SPEC))
    less["design"]["factors"]["Camera_Yaw"] = [0, 45]
    less["splits"]["test"] = ["World_Name = Desert"]
    generate(less, tmp_path / "grown", MarkerEngine, shard_rows=5, progress=False)
    generate(SPEC, tmp_path / "grown", MarkerEngine, shard_rows=5, extend=True, progress=False)
    assert hashes(tmp_path / "grown") == calm
    assert {n: len(rows) for n, rows in load(tmp_path / "grown", tmp_path / "c").items()} == COUNTS


def test_a_kill_between_two_files_of_one_shard_loses_no_row(made: Path, tmp_path: Path) -> None:
    """Its rows wait until all of its files have their names, and those that have them count."""
    spec = parse_spec(SPEC)
    design, out = spec.build(), tmp_path / "d"
    identity = {**open_dataset(made).manifest.identity}
    for key in ("format", "shard_rows"):
        identity.pop(key)

    def writer() -> DatasetWriter:
        return DatasetWriter(out, design, RowSchema(spec, design, ("rgb",)), identity, shard_rows=5)

    first = writer()
    first.save_manifest()
    empty = (out / "manifest.json").read_bytes()
    for frame in MarkerEngine().render(list(design)[:5], RenderOptions(size=(48, 48), format=spec.render.format)):
        assert isinstance(frame, Frame)
        first.add(frame)
    waiting = {file.name: file.read_bytes() for file in (out / "_work").glob("*.row")}
    first.finish_shard(0)
    said = json.dumps({"files": first.manifest.as_json()["shards"]}).encode()
    first.close()
    assert sorted(first.manifest.shards) == ["held_out-00000.parquet", "train-00000.parquet"]
    for lost in (["held_out-00000.parquet"], ["train-00000.parquet"], list(first.manifest.shards)):
        for name in lost:
            (out / "data" / name).unlink()
        (out / "manifest.json").write_bytes(empty)
        (out / "_work").mkdir(exist_ok=True)
        for name, data in waiting.items():
            (out / "_work" / name).write_bytes(data)
        (out / "_work" / "00000.shard").write_bytes(said)
        again = writer()
        assert again.missing(0) == []
        again.finish_shard(0)
        again.save_manifest()
        assert not list((out / "_work").glob("*.row"))
        again.close()
        mine = hashes(out)
        assert mine == {name: hashes(made)[name] for name in mine}
        assert len(mine) == 2


def test_a_file_that_is_cut_off_is_rendered_again_alone(made: Path, tmp_path: Path) -> None:
    generate(SPEC, tmp_path / "d", MarkerEngine, shard_rows=5, progress=False)
    (tmp_path / "d" / "data" / "held_out-00000.parquet").write_bytes(b"cut off")
    assert list(verify(tmp_path / "d", drop_bad=True).problems) == ["held_out-00000.parquet"]
    again = generate(SPEC, tmp_path / "d", MarkerEngine, shard_rows=5, progress=False)
    assert again.rendered == 2
    assert hashes(tmp_path / "d") == hashes(made)


def test_a_dataset_from_before_is_kept_by_extending_it(made: Path, tmp_path: Path) -> None:
    """It has rows of several splits in one file, and says it is of format 1."""
    out = tmp_path / "old"
    generate({**SPEC, "splits": {}}, out, MarkerEngine, shard_rows=5, progress=False)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["identity"]["spec"] = open_dataset(made).manifest.identity["spec"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match=r"format was 1, is 2.*Use --extend to keep"):
        generate(SPEC, out, MarkerEngine, shard_rows=5, progress=False)
    again = generate(SPEC, out, MarkerEngine, shard_rows=5, extend=True, progress=False)
    assert again.rendered == 0
    assert hashes(out) == hashes(made)


def _counts(dataset: StoredDataset) -> Counter[str]:
    return Counter(map(split_name, dataset.table(["split"])["split"].to_pylist()))


def test_imports_and_merges_keep_splits(made: Path, tmp_path: Path) -> None:
    first = open_dataset(made)
    columns = ["image", "world_name", "character_name", "character_scale", "camera_yaw", "character_texture", "split"]
    (tmp_path / "mirror").mkdir()
    table = pa.concat_tables(pq.read_table(file, columns=columns) for file in first.files)
    pq.write_table(table, tmp_path / "mirror" / "rows.parquet")
    back = import_dataset(tmp_path / "mirror", tmp_path / "back")
    assert {name: len(rows) for name, rows in load(tmp_path / "back", tmp_path / "c").items()} == COUNTS
    assert {f.name.rpartition("-")[0] for f in back.files} == set(COUNTS)
    assert not verify(tmp_path / "back").problems
    both = merge([first, back], tmp_path / "both", common=True, keep_first=True)
    assert _counts(both) == COUNTS
    assert {name: len(rows) for name, rows in load(tmp_path / "both", tmp_path / "c2").items()} == COUNTS
    alone = import_dataset(export_folder(first.where("split = test"), tmp_path / "png"), tmp_path / "alone")
    assert len(alone) == 3
    assert {name: len(rows) for name, rows in load(tmp_path / "alone", tmp_path / "c3").items()} == {"test": 3}


def test_a_folder_of_pictures_is_read_by_others_with_its_splits_and_classes(made: Path, tmp_path: Path) -> None:
    tv = pytest.importorskip("torchvision", reason="needs the extra 'eval'")
    first = open_dataset(made)
    out = tmp_path / "png"
    sheet = export_folder(first, out)
    found = load(out, tmp_path / "c")
    assert {name: len(rows) for name, rows in found.items()} == COUNTS
    rows = {row["scene_id"]: row for row in first.table().to_pylist()}
    for name, split in found.items():
        for row in split:
            assert read_marker(np.array(row["image"])) == row["scene_id"]
            mine = rows[row["scene_id"]]
            assert split_name(mine["split"]) == name
            for column in first.factors:
                assert row[column] == mine[column]
        folder = tv.datasets.ImageFolder(str(out / name))
        assert len(folder) == COUNTS[name]
        for path, label in folder.samples:
            assert rows[Path(path).stem]["character_name"] == folder.classes[label]
        with open(out / name / METADATA, newline="") as file:
            named = [row["file_name"] for row in csv.DictReader(file)]
        assert sorted(named) == sorted(p.relative_to(out / name).as_posix() for p in (out / name).rglob("*.png"))
    back = import_dataset(sheet, tmp_path / "back")
    assert _counts(back) == COUNTS
    # One split: no folder for it, and its own name.
    export_folder(first.where("split = held-out"), tmp_path / "one")
    assert {name: len(rows) for name, rows in load(tmp_path / "one", tmp_path / "c2").items()} == {"held_out": 3}
    assert {p.parent.name for p in (tmp_path / "one").rglob("*.png")} == {"Camel", "Zebra"}


def test_tar_files_are_read_by_others_with_their_splits(made: Path, tmp_path: Path) -> None:
    files = export_webdataset(open_dataset(made), tmp_path / "tars")
    assert sorted(file.name for file in files) == ["held_out-000000.tar", "test-000000.tar", "train-000000.tar"]
    found = load(tmp_path / "tars", tmp_path / "c")
    assert {name: len(rows) for name, rows in found.items()} == COUNTS
    for name, rows in found.items():
        for row in rows:
            assert split_name(row["json"]["split"]) == name
            assert read_marker(np.array(row["png"])) == row["json"]["scene_id"]


def test_overwriting_leaves_nothing_of_what_was_there(made: Path, tmp_path: Path) -> None:
    """A picture of the same size in bytes is another picture; one that is left over is one too many."""
    first, out = open_dataset(made), tmp_path / "png"
    export_folder(first, out)
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    victim = next(p for p in sorted(out.rglob("*.png")))
    victim.write_bytes(bytes(len(victim.read_bytes())))
    export_folder(first, out)
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    part = first.where("character_name = Camel")
    with pytest.raises(DatasetError, match="no earlier export"):
        export_folder(part, out)
    (out / "mine.txt").write_text("mine")
    export_folder(part, out, overwrite=True)
    assert {p.stem for p in out.rglob("*.png")} == set(part.table(["scene_id"])["scene_id"].to_pylist())
    assert not (out / "test").exists()
    assert (out / "mine.txt").read_text() == "mine"
    same_number = first.where("character_name = Zebra")
    assert len(same_number) == len(part)
    with pytest.raises(DatasetError, match="no earlier export"):
        export_folder(same_number, out)


def test_names_of_splits() -> None:
    plain = ["train", "test", "validation", "val_2", "A"]
    assert [split_name(name) for name in plain] == plain
    assert split_name("held-out") == "held_out"
    assert split_name(None) == split_name("") == "train"
    odd = ["../../x", "a b", "a/b", "ü", "x" * 300, "all", "a.b", "\0", "-" * 70]
    named = [split_name(name) for name in odd]
    assert len(set(named)) == len(odd)
    for name in named:
        assert datasets.splits.NamedSplit(name) == name
        assert name.isascii()
        assert len(name) < 80
    with pytest.raises(SpecError, match="'a-b' is there too"):
        parse_spec({**SPEC, "splits": {"a-b": ["Camera_Yaw = 0"], "a_b": ["Camera_Yaw = 45"]}}).split_rules()


def test_croissant_is_valid_and_its_records_are_the_rows(made: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="is not installed")
    logging.getLogger("absl").setLevel(logging.ERROR)
    moved = tmp_path / "moved"
    spec = {**SPEC, "render": {"size": [48, 48], "passes": ["rgb", "mask"]}}
    generate(spec, moved, MarkerEngine, shard_rows=5, progress=False)
    moved = moved.rename(tmp_path / "elsewhere")
    described = mlcroissant.Dataset(jsonld=str(moved / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    first = open_dataset(moved)
    rows = {row["scene_id"]: row for row in (first.row(i) for i in range(len(first)))}
    seen = 0
    for split in COUNTS:
        for record in described.records(split):
            said = {name.removeprefix(f"{split}/"): value for name, value in record.items()}
            row = rows[said["scene_id"].decode()]
            assert said.keys() == row.keys()
            for name, value in row.items():
                if isinstance(value, dict):
                    real = np.asarray(Image.open(io.BytesIO(value["bytes"])))
                    assert np.array_equal(np.asarray(said[name]), real), name
                else:
                    assert said[name] == (value.encode() if isinstance(value, str) else value), name
            assert split_name(row["split"]) == split
            seen += 1
    assert seen == len(first) == 12
    listed = {f["@id"]: f["sha256"] for f in json.loads((moved / "croissant.json").read_text())["distribution"]
              if f["@type"] == "cr:FileObject"}  # fmt: skip
    assert listed == {f"data/{f.name}": hashlib.sha256(f.read_bytes()).hexdigest() for f in first.files}
