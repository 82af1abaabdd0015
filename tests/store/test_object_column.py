"""A dataset could lose what a list column says on its way: every reader leaves out what it does not understand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import DatasetWriter, RowSchema, StoredDataset, columns_of, open_dataset, verify
from torchmultiverse.store.card import write_card
from torchmultiverse.store.combine import merge
from torchmultiverse.store.exporting import export_folder
from torchmultiverse.store.importing import import_dataset

ZEBRA, CAT = {"Name": "Zebra", "Location": "0,150,0", "Scale": 0.7}, {"Name": "Cat", "Rotation_Yaw": -45}
LISTS: list[Any] = [[], [ZEBRA], [CAT, ZEBRA]]


def frames(scenes: list[Scene]) -> list[Frame]:
    """Test cards of scenes, drawn without the lists."""
    options = RenderOptions(size=(32, 32))
    cards = MarkerEngine().render([scene.changed(Objects=[]) for scene in scenes], options)
    made = []
    for scene, card in zip(scenes, cards, strict=True):
        assert isinstance(card, Frame)
        made.append(Frame(scene, arrays={"rgb": card.array("rgb")}, format="png", engine=card.engine))
    return made


def written(out: Path, world: str = "Snow") -> StoredDataset:
    spec = parse_spec({"World_Name": [world], "Objects": LISTS, "Camera_Yaw": [0, 90]})
    design = spec.build()
    identity = {"spec": spec.model_dump(mode="json"), "size": [32, 32]}
    writer = DatasetWriter(out, design, RowSchema(spec, design, ("rgb",)), identity)
    counts = {"world_name": {world: 6}, "objects": {str(k): n for k, n in design.level_counts()["Objects"].items()}}
    writer.manifest.set(counts=counts)
    writer.save_manifest()
    for frame in frames(list(design)):
        writer.add(frame)
    writer.finish_shard(0)
    writer.close()
    return open_dataset(out)


def test_a_list_is_read_back(tmp_path: Path) -> None:
    stored = written(tmp_path / "a")
    table = stored.table(["objects", "scene"])
    fields = ["name", "label", "x", "y", "z", "yaw", "roll", "pitch", "scale", "texture"]
    assert [field.name for field in table.schema.field("objects").type.value_type] == fields
    for row in table.to_pylist():
        given = json.loads(row["scene"]).get("Objects", [])
        assert [one["name"] for one in row["objects"]] == [one["Name"] for one in given]
    two = table.to_pylist()[-1]["objects"]
    assert {k: two[0][k] for k in ("name", "yaw", "scale", "texture")} == {
        "name": "Zebra", "yaw": 0.0, "scale": 0.7, "texture": "Default"
    } or two[1]["y"] == 150.0  # fmt: skip
    assert verify(tmp_path / "a").problems == {}
    assert columns_of(stored)["objects"].tolist() == [0, 0, 1, 1, 2, 2]


def test_rows_are_found_by_their_objects(tmp_path: Path) -> None:
    stored = written(tmp_path / "a")
    assert [len(stored.where(text)) for text in ("objects > 0", "Objects = 2", "objects in (0, 1)")] == [4, 2, 4]
    assert len(stored.where(f"objects = '{json.dumps([ZEBRA])}'")) == 2
    assert stored.at(Objects=[ZEBRA]).tolist() == [2, 3]
    assert stored.neighbours(0).tolist() == [1, 2, 4]
    assert stored.pairs("objects").tolist() == [[0, 2], [0, 4], [1, 3], [1, 5], [2, 4], [3, 5]]


def test_card_and_features(tmp_path: Path) -> None:
    stored = written(tmp_path / "a")
    write_card(tmp_path / "a", stored.manifest, stored)
    card = (tmp_path / "a" / "README.md").read_text()
    assert "0 objects, 1 object, 2 objects" in card
    json.loads((tmp_path / "a" / "croissant.json").read_text())
    datasets = pytest.importorskip("datasets")
    features = json.loads(pq.read_schema(stored.files[0]).metadata[b"huggingface"])["info"]["features"]
    assert list(features) == stored.schema.names
    read = datasets.Features.from_dict(features)
    assert read.arrow_schema.field("objects").type == stored.schema.field("objects").type


def test_lists_are_merged_and_imported(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a"), written(tmp_path / "b", "Desert")
    both = merge([one, two], tmp_path / "both")
    assert both.manifest.counts["objects"] == {key: 4 for key in one.manifest.counts["objects"]}
    assert both.table(["objects"])["objects"].to_pylist()[:6] == one.table(["objects"])["objects"].to_pylist()
    bare = tmp_path / "bare"
    (bare / "data").mkdir(parents=True)
    pq.write_table(one.table(["image", "world_name", "objects"]), bare / "data" / "train.parquet")
    imported = import_dataset(bare, tmp_path / "imported")
    assert imported.table(["objects"])["objects"].to_pylist() == one.table(["objects"])["objects"].to_pylist()


def test_exported_lists_come_back(tmp_path: Path) -> None:
    stored = written(tmp_path / "a")
    export_folder(stored, tmp_path / "folder")
    back = import_dataset(tmp_path / "folder", tmp_path / "back")
    assert sorted(back.table(["scene_id"])["scene_id"].to_pylist()) == sorted(
        stored.table(["scene_id"])["scene_id"].to_pylist()
    )


def test_batches_hold_the_text(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torch.utils.data import DataLoader

    from torchmultiverse.stream import Dataset

    written(tmp_path / "a")
    batch = next(iter(DataLoader(Dataset(tmp_path / "a", columns=["objects"]), batch_size=6)))
    assert [len(json.loads(text)) for text in batch["objects"]] == [0, 0, 1, 1, 2, 2]
    assert "objects" in Dataset(tmp_path / "a").columns


def test_specs_without_lists_have_the_schema_they_had() -> None:
    design = parse_spec({"World_Name": ["Snow"]}).build()
    schema = RowSchema(None, design, ("rgb",)).arrow
    assert not any(pa.types.is_list(kind) for kind in schema.types)
    assert "objects" not in schema.names
