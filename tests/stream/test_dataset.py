"""A loader whose workers shuffle pictures against labels would train without complaint."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.store import open_dataset
from torchmultiverse.stream import Dataset

SPEC = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": list(range(0, 300, 2))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stream") / "d"
    generate(SPEC, out, MarkerEngine, size=48, shard_rows=100, progress=False)
    return out


def test_a_loader_with_workers_keeps_pictures_and_labels_together(folder: Path) -> None:
    data = pytest.importorskip("torch.utils.data", reason="needs the extra 'torch'")
    seen = set()
    for batch in data.DataLoader(Dataset(folder), batch_size=16, shuffle=True, num_workers=2):
        assert batch["image"].shape[1:] == (3, 48, 48)
        for picture, scene_id in zip(batch["image"], batch["scene_id"], strict=True):
            assert read_marker((picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)) == scene_id
            seen.add(scene_id)
    assert len(seen) == 300


def test_random_access_filters_and_pickling(folder: Path) -> None:
    stored = open_dataset(folder)
    ids = stored.table(["scene_id"])["scene_id"].to_pylist()
    for index in (0, 63, 64, 99, 100, 299, -1):
        assert read_marker(np.array(stored.image(index))) == ids[index]
    some = pickle.loads(pickle.dumps(stored.where("world_name = Snow and camera_yaw < 10")))
    assert len(some) == 5
    assert some.table(["camera_yaw"])["camera_yaw"].to_pylist() == [0, 2, 4, 6, 8]
    assert read_marker(np.array(some.image(2))) == some.row(2, ["scene_id"])["scene_id"]
    assert len(Dataset(folder, where="camera_yaw = 4", columns=["world_name"])) == 2
    with pytest.raises(IndexError):
        stored.image(300)
    with pytest.raises(DatasetError, match="Did you mean 'world_name'"):
        stored.table(["world_nam"])
    with pytest.raises(SpecError):
        stored.where("nonsense")


def test_tuples_annotations_and_unknown_numbers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    spec = {
        "name": "passes",
        "design": {"kind": "factorial", "factors": SPEC},
        "render": {"size": [32, 48], "passes": ["rgb", "mask", "depth", "normals"]},
    }
    generate(spec, tmp_path / "d", MarkerEngine, limit=5, progress=False)
    data = Dataset(tmp_path / "d", columns=["camera_yaw", "mask", "depth", "normals"], as_tuple=True)
    picture, yaw, mask, depth, normals = data[3]
    assert picture.shape == (3, 48, 32)
    assert picture.dtype == torch.float32
    assert 0 <= float(picture.min()) < float(picture.max()) <= 1
    assert (yaw, mask.shape, depth.shape, normals.shape) == (6, (48, 32), (48, 32), (48, 32, 3))
    assert (mask == (np.array(data.stored.image(3))[..., 0] > 127)).all()
    batch = next(iter(torch.utils.data.DataLoader(data, 5)))
    assert batch[2].dtype == torch.uint8
    everything = next(iter(torch.utils.data.DataLoader(Dataset(tmp_path / "d"), 5)))
    assert everything["quality_visible1"].isnan().all(), "the test card's engine does not say"
    assert (everything["quality_area1"] > 0).all()


def test_workers_that_start_afresh(folder: Path) -> None:
    data = pytest.importorskip("torch.utils.data", reason="needs the extra 'torch'")
    dataset = Dataset(folder, columns=["scene_id"], transform=np.asarray, where="camera_yaw < 20")
    loader = data.DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    seen = [(read_marker(np.asarray(item["image"])), item["scene_id"]) for item in loader]
    assert len(seen) == 20
    assert all(shown == said for shown, said in seen)
    assert [said for _, said in seen] == dataset.stored.table(["scene_id"])["scene_id"].to_pylist()


def test_what_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="cannot be read"):
        open_dataset(tmp_path / "bad")


def test_what_is_missing_is_collated(tmp_path: Path) -> None:
    """Labels that some rows lack: the defaults end in a batch, and whole numbers are no other numbers for it."""
    data = pytest.importorskip("torch.utils.data", reason="needs the extra 'torch'")
    from io import BytesIO

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (4, 4), (10, 20, 30)).save(file, "PNG")
    image = {"bytes": file.getvalue(), "path": None}
    rows = pa.table(
        {
            "image": [image] * 4,
            "text": ["a", None, "c", None],
            "whole": pa.array([1, None, 3, 4], pa.int64()),
            "every": pa.array([1, 2, 3, 4], pa.int64()),
            "flag": [True, None, False, True],
            "none": pa.nulls(4),
            "list": [["x"], [], None, ["y", "z"]],
        }
    )
    pq.write_table(rows, tmp_path / "d.parquet")
    (batch,) = data.DataLoader(Dataset(tmp_path), batch_size=4)
    assert batch["text"] == ["a", "", "c", ""]
    assert batch["whole"].isnan().tolist() == [False, True, False, False]
    assert batch["whole"][[0, 2, 3]].tolist() == [1, 3, 4]
    assert batch["every"].tolist() == [1, 2, 3, 4]
    assert batch["flag"].isnan().tolist() == [False, True, False, False]
    assert "list" not in batch
    assert Dataset(tmp_path, columns=["list"])[3]["list"] == ["y", "z"]
