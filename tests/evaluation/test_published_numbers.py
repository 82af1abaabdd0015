"""`benchmarks/published.py` on planted folders that are read as the hub's are.

What could silently be wrong: a published number beside ours for another question, a picture put into another subset, a
difference that is rounded away, and a second run that asks everything again or believes a result of other pictures.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from planted import spar_rows

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Result
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.resources import data_folder

datasets = pytest.importorskip("datasets")

_spec = importlib.util.spec_from_file_location("published", data_folder("benchmarks") / "published.py")
assert _spec is not None
assert _spec.loader is not None
published = importlib.util.module_from_spec(_spec)
sys.modules["published"] = published
_spec.loader.exec_module(published)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def _tag(index: int) -> Image.Image:
    """A picture that carries its row in all its pixels: it survives every crop."""
    return Image.new("RGB", (16, 16), (index >> 8, index & 255, 77))


def _plant(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a mirror as the published ones are: Parquet, one split, no folders."""
    features = datasets.Features({
        "image": datasets.Image(),
        **{k: datasets.Value("string" if isinstance(v, str) else "float64") for k, v in rows[0].items()},
    })  # fmt: skip
    planted = datasets.Dataset.from_list([{"image": _tag(i), **row} for i, row in enumerate(rows)], features=features)
    (folder / "data").mkdir(parents=True)
    planted.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    return folder


def _imagenet_rows() -> list[dict[str, Any]]:
    base = {
        "world_name": "SaltFlats", "character_name": "wolf_1", "character_label": "Wolf", "character_rotation_yaw": 0.0,
        "character_rotation_roll": 0.0, "character_rotation_pitch": 0.0, "character_scale": 1.0, "camera_roll": 0.0,
        "camera_pitch": 0.0, "camera_yaw": 0.0, "character_texture": "Default", "scene_light": "255, 255, 255, 0",
    }  # fmt: skip
    worlds = [{**base, "world_name": f"World{i}"} for i in range(40)]
    return [*worlds, *({**base, "camera_pitch": float(pitch)} for pitch in (240, 260, 280, 300, 320, 340))]


class Wolf:
    """A classifier that knows the wolf in some pictures; what it makes of a picture can be kept."""

    def __init__(self, name: str, right: set[int]) -> None:
        self.name, self._right, self.shown = name, right, 0
        self.classes = None
        still = Preprocess((16, 16), "squash", 1.0, "nearest", (0.0,) * 3, (1.0,) * 3)
        self.info = ModelInfo(name, "classifier", still, weights_sha256="a" * 64)

    def change(self, **facts: Any) -> None:
        self.info = replace(self.info, **facts)

    def logits(self, images: Any) -> np.ndarray:
        self.shown += len(images)
        centre = self.info.preprocess.pixels(images)[:, 112, 112].astype(int)
        scores = np.zeros((len(centre), 1000), np.float32)
        scores[np.arange(len(centre)), [269 if (r << 8 | g) in self._right else 0 for r, g, _ in centre]] = 1
        return scores


def test_the_golden_value_of_a_planted_model(tmp_path: Path) -> None:
    folder = _plant(tmp_path / "PUG_ImageNet", _imagenet_rows())
    model = Wolf("wolf", {*range(11), 40, 41})  # 11 of 40 worlds: 27.5 %; 2 of 6 pitches
    job = published.Job("imagenet", model, golden=(("Worlds", 27.8617), ("Camera_Pitch", 33.3333)))
    worlds, pitch = published.run([job], {"imagenet": str(folder)}, tmp_path / "out", quiet=True)
    assert (worlds.pictures, worlds.ours) == (40, pytest.approx(27.5))
    assert worlds.difference == pytest.approx(11 - 0.278617 * 40)
    assert worlds.open == pytest.approx(40 * 0.00005 / 100)
    assert not worlds.same
    assert (pitch.pictures, pitch.same) == (6, True), "2 of 6 is 33.3333 as far as was published"
    assert worlds.question == "classification, pug2023, top1, Worlds"
    lines = list(published.show([worlds, pitch]))
    assert "27.5000   27.8617      40      -0.1" in lines[2]
    assert lines[2].endswith("DIFFERS")
    assert lines[-1] == "1 of 2 numbers are the published ones"


def test_a_second_run_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _plant(tmp_path / "PUG_ImageNet", _imagenet_rows())
    first, second, third = (Wolf("wolf", set(range(11))) for _ in range(3))

    def jobs(model: Any) -> list[Any]:
        return [published.Job("imagenet", model, golden=(("Worlds", 27.8617),))]

    before = published.run(jobs(first), {"imagenet": str(folder)}, tmp_path / "out", quiet=True)
    assert first.shown == 46
    assert published.run(jobs(second), {"imagenet": str(folder)}, tmp_path / "out", quiet=True) == before
    assert second.shown == 0
    assert json.loads((tmp_path / "out" / "published.json").read_text())[0]["pictures"] == 40
    # Killed after encoding and before the result was written: what was made of pictures is there.
    (tmp_path / "out" / "imagenet" / "wolf" / "provenance.json").unlink()
    assert published.run(jobs(third), {"imagenet": str(folder)}, tmp_path / "out", quiet=True) == before
    assert third.shown == 0
    # Other pictures under the same name are asked.
    other = _plant(tmp_path / "other" / "PUG_ImageNet", _imagenet_rows()[:-1])
    fourth = Wolf("wolf", set(range(11)))
    published.run(jobs(fourth), {"imagenet": str(other)}, tmp_path / "out", quiet=True)
    assert Result.load(tmp_path / "out" / "imagenet" / "wolf").provenance.dataset.images == 45


class Knows:
    """An image-text model that finds the single animal's caption, whatever the world, in unpainted pictures."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.name, self._rows = "knows", rows
        self._known: dict[str, np.ndarray] = {}

    def _vector(self, text: str) -> np.ndarray:
        if text not in self._known:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
            self._known[text] = np.random.default_rng(seed).normal(size=256).astype(np.float32)
        return self._known[text]

    def encode_text(self, texts: list[str]) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts])

    def encode_image(self, images: list[Image.Image]) -> np.ndarray:
        out = []
        for image in images:
            red, green, _ = image.getpixel((8, 8))
            row = self._rows[red << 8 | green]
            shown = [row[name] for name in ("character_name", "character2_name") if row[name] != "blank"]
            said = f"This is a photo of a {shown[0]} in a {row['world_name']} environment" if len(shown) == 1 else "?"
            out.append(self._vector(said))
        return np.stack(out)


def test_spar_beside_its_table(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "scene_id"} for row in spar_rows()]
    folder = _plant(tmp_path / "PUG_SPAR", rows)
    job = published.Job("spar", Knows(rows), "CLIP ViT-B-32 (OpenAI)")
    cells = published.run([job], {"spar": str(folder)}, tmp_path / "out", quiet=True)
    single = next(c for c in cells if c.question == "single_animal, Default, with the world, top1")
    # Two worlds, four animals, each alone at either of two places of two settings.
    assert (single.pictures, single.ours, single.published) == (32, 100, 39.61)
    assert single.difference == pytest.approx(32 * (1 - 0.3961))
    negative = next(c for c in cells if c.question == "position, left/right, with the world, hard_negative")
    assert (negative.pictures, negative.published) == (16, 49.53)
    assert negative.difference == pytest.approx(16 * (negative.ours - 49.53) / 100)
    assert not any("SaltFlats" in c.question for c in cells), "no such world here"
    assert len({c.question for c in cells}) == len(cells) > 8


def test_a_dataset_that_cannot_be_had_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        published.HubPictures(str(tmp_path / "nowhere"), "spar")
    folder = _plant(tmp_path / "x", [{"world_name": "A", "label": 1.0}])
    with pytest.raises(DatasetError, match="lacks character_name"):
        published.HubPictures(str(folder), "spar")
    assert published.main(["--out", str(tmp_path / "o"), "--only", "spar", "--spar", str(tmp_path / "nowhere")]) == 4
    assert "nowhere" in capsys.readouterr().err
