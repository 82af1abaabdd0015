"""Parallelism of difference vectors.

What could be silently wrong: a closed form that is not the mean over pairs, a context compared with itself, levels or
contexts mixed up, an interval that does not cover.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.displacements import arrange, equivariance, parallelism
from torchmultiverse.farm import generate
from torchmultiverse.models import ModelInfo, as_model
from torchmultiverse.store import StoredDataset, open_dataset

LEVELS, ANIMALS, YAWS, SIZE = 4, 6, 3, 16


def columns() -> dict[str, NDArray[np.object_]]:
    rows = [(f"w{w}", f"a{a}", y) for a in range(ANIMALS) for w in range(LEVELS) for y in range(YAWS)]
    shuffled = [rows[i] for i in np.random.default_rng(3).permutation(len(rows))]
    return {
        name: np.array([row[k] for row in shuffled], dtype=object) for k, name in enumerate(("world", "animal", "yaw"))
    }


def places() -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    found = columns()
    index, levels = arrange(found, "world", ["animal", "yaw"])
    assert levels == ["w0", "w1", "w2", "w3"]
    assert index.shape == (ANIMALS * YAWS, LEVELS)
    for context in index:
        assert len({found["animal"][row] for row in context}) == 1
        assert [found["world"][row] for row in context] == levels
    return index, found["animal"][index[:, 0]]


def brute(vectors: NDArray[np.float64], index: NDArray[np.int64]) -> float:
    cosines = []
    for k, m in combinations(range(index.shape[1]), 2):
        d = vectors[index[:, m]] - vectors[index[:, k]]
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        cosines.append([float(d[i] @ d[j]) for i in range(len(d)) for j in range(len(d)) if i != j])
    return float(np.mean(cosines))


def test_the_closed_form_is_the_mean_over_all_pairs() -> None:
    index, animals = places()
    vectors = np.random.default_rng(0).normal(size=(index.size, SIZE)).astype(np.float32)
    vectors += np.array([int(w[1]) for w in columns()["world"]])[:, None] * 0.5
    value, low, high, by_change, unmoved = parallelism(vectors, index, animals, np.random.default_rng(0))
    assert value == pytest.approx(brute(vectors.astype(float), index), abs=1e-5)
    assert low < value < high
    assert np.allclose(by_change, by_change.T, equal_nan=True)
    assert by_change[0, 3] > by_change[0, 1], "a larger shift moves all the same way"
    assert unmoved == 0


def test_planted_embeddings() -> None:
    index, animals = places()
    found = columns()
    rng = np.random.default_rng(1)
    objects = {key: rng.normal(size=SIZE) for key in zip(found["animal"], found["yaw"], strict=True)}
    worlds = {name: rng.normal(size=SIZE) for name in np.unique(found["world"])}
    rows = list(zip(found["world"], found["animal"], found["yaw"], strict=True))
    added = np.array([objects[a, y] + worlds[w] for w, a, y in rows], np.float32)
    value, low, _, _, _ = parallelism(added, index, animals, rng)
    assert value == pytest.approx(1, abs=1e-5)
    assert low == pytest.approx(1, abs=1e-5)
    blind = np.array([objects[a, y] for _, a, y in rows], np.float32)
    value, low, high, _, unmoved = parallelism(blind, index, animals, rng)
    assert np.isnan(value)
    assert (low, high, unmoved) == (-1, 1, 1)
    random = rng.normal(size=(index.size, 512)).astype(np.float32)
    value, low, high, _, _ = parallelism(random, index, animals, rng)
    assert abs(value) < 0.03
    assert low < 0.02
    assert high > -0.02
    # Captions that move as the pictures do, the other way round, and independently.
    for captions, expected in ((added * 2, 1), (-added, -1), (random[:, :SIZE], 0)):
        value, low, high, _, _ = parallelism(added, index, animals, rng, second=captions.astype(np.float32))
        assert value == pytest.approx(expected, abs=0.15 if expected == 0 else 1e-5)
        assert low <= value <= high


def test_a_picture_that_does_not_move_has_no_direction() -> None:
    index, animals = places()
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(index.size, SIZE)).astype(np.float32)
    vectors[index[0, 1]] = vectors[index[0, 0]]
    value, *_, unmoved = parallelism(vectors, index, animals, rng)
    assert np.isfinite(value)
    assert unmoved == pytest.approx(1 / (6 * len(index)))


def test_intervals_cover() -> None:
    """Animals differ in how much they follow the world; 95 of 100 intervals hold the mean over all animals."""
    rng = np.random.default_rng(5)
    world = rng.normal(size=(2, SIZE))
    covered = 0

    def draw(animals: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        follows = rng.uniform(0, 2, animals)
        own = rng.normal(size=(animals, 2, SIZE)) * 0.7
        each = rng.normal(size=(animals, 3, 2, SIZE)) * 0.5
        vectors = follows[:, None, None, None] * world + own[:, None] + each
        return (
            vectors.reshape(-1, SIZE).astype(np.float32),
            np.arange(animals * 6).reshape(-1, 2),
            np.repeat(np.arange(animals), 3),
        )

    truth = np.mean([parallelism(*draw(300), rng, resamples=2)[0] for _ in range(20)])
    for _ in range(200):
        _, low, high, _, _ = parallelism(*draw(25), rng, resamples=400)
        covered += low <= truth <= high
    assert 0.88 <= covered / 200 <= 0.995, covered


def test_bad_arrangements() -> None:
    found = columns()
    with pytest.raises(DatasetError, match=r"no column 'wrld'.*'world'"):
        arrange(found, "wrld", ["animal"])
    with pytest.raises(DatasetError, match="two have the same animal"):
        arrange(found, "world", ["animal"])
    one = {name: values[found["world"] == "w1"] for name, values in found.items()}
    with pytest.raises(DatasetError, match="one level only"):
        arrange(one, "world", ["animal", "yaw"])
    lacking = {name: values[~((found["world"] == "w1") & (found["yaw"] == 0))] for name, values in found.items()}
    index, _ = arrange(lacking, "world", ["animal", "yaw"])
    assert len(index) == ANIMALS * (YAWS - 1)


class Additive:
    """Pictures move with the world alone, all the same way; captions do not move with anything but the texture."""

    logit_scale = 1.0

    def __init__(self, dataset: StoredDataset) -> None:
        self.info = ModelInfo("additive", "image-text")
        rng = np.random.default_rng(0)
        self._worlds, self._names = rng.normal(size=(2, 8)), rng.normal(size=(3, 8))
        rows = dataset.table(["world_name", "character_name"]).to_pylist()
        where, who = sorted({r["world_name"] for r in rows}), sorted({r["character_name"] for r in rows})
        vectors = [
            self._worlds[where.index(r["world_name"])] + self._names[who.index(r["character_name"])] for r in rows
        ]
        self._vectors = iter(np.array(vectors, np.float32))

    def encode_image(self, images: Any) -> NDArray[np.float32]:
        return np.stack([next(self._vectors) for _ in images])

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1.0, "Grass" in text, *([0] * 6)] for text in texts], np.float32)


_DESCRIBED = ("world_name", "character_scale", "character_texture")


class _Sees:
    """The same without words."""

    name = "sees"

    def __init__(self, model: Additive) -> None:
        self.encode_image = model.encode_image


def test_a_whole_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factors = {
        "World_Name": ["Desert", "Snow"], "Character_Name": ["Camel", "Elephant", "Zebra"],
        "Character_Scale": [0.7, 1.0], "Character_Texture": ["Default", "Grass"], "Camera_Yaw": [0, 45],
    }  # fmt: skip
    spec = {"name": "a", "family": "Animals", "design": {"kind": "factorial", "factors": factors}}
    generate(spec, tmp_path / "d", MarkerEngine, size=32, progress=False)
    dataset = open_dataset(tmp_path / "d")
    (found,) = equivariance(dataset, Additive(dataset), quiet=True).values()
    measured = {(r.factor, r.modality): r for r in found}
    assert set(measured) == {
        *((f, m) for f in _DESCRIBED for m in ("image", "text", "across")),
        ("camera_yaw", "image"),
    }
    # The views that captions do not describe are left out, except of the view itself.
    assert measured["world_name", "image"].contexts == 3 * 2 * 2
    assert measured["camera_yaw", "image"].contexts == 2 * 3 * 2 * 2
    assert measured["world_name", "image"].value == pytest.approx(1, abs=1e-5)
    assert measured["character_texture", "text"].value == pytest.approx(1, abs=1e-6)
    for key in (("world_name", "text"), ("camera_yaw", "image"), ("character_scale", "image")):
        assert np.isnan(measured[key].value)
        assert measured[key].unmoved == 1
    assert json.loads(json.dumps(measured["world_name", "image"].as_dict()))["levels"] == ["Desert", "Snow"]
    seeing = Additive(dataset)
    (alone,) = equivariance(dataset, as_model(_Sees(seeing)), quiet=True).values()
    assert {(r.factor, r.modality) for r in alone} == {(f, "image") for f in (*_DESCRIBED, "camera_yaw")}
    assert next(r for r in alone if r.factor == "world_name").value > 0.5
    with pytest.raises(DatasetError, match="no column 'world'"):
        equivariance(dataset, Additive(dataset), ["world"], quiet=True)


def _made(tmp_path: Path, family: str, factors: dict[str, list[Any]]) -> StoredDataset:
    spec = {"name": "a", "family": family, "design": {"kind": "factorial", "factors": factors}}
    generate(spec, tmp_path / "d", MarkerEngine, size=32, progress=False)
    return open_dataset(tmp_path / "d")


class Named:
    """Pictures move with the first animal alone, and captions with their words."""

    info = ModelInfo("named", "image-text")
    logit_scale = 1.0

    def __init__(self, dataset: StoredDataset) -> None:
        names = dataset.table(["character_name"])["character_name"].to_pylist()
        self._vectors = iter(np.eye(4, dtype=np.float32)[np.unique(names, return_inverse=True)[1]])

    def encode_image(self, images: Any) -> NDArray[np.float32]:
        return np.stack([next(self._vectors) for _ in images])

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([["Zebra" in t, "Grass" in t, "Desert" in t, 1] for t in texts], np.float32)


def test_datasets_that_are_not_pug_animals(tmp_path: Path) -> None:
    """Pairs of animals with captions of their own: what these do not say has no text, and pairs are the clusters."""
    factors = {
        "World_Name": ["Desert", "Snow"], "Character_Name": ["Camel", "Zebra"],
        "Character2_Name": ["Elephant", "Penguin"], "Character_Texture": ["Default", "Grass"], "Camera_Yaw": [0, 45],
    }  # fmt: skip
    dataset = _made(tmp_path, "SPAR", factors)
    (found,) = equivariance(dataset, Named(dataset), quiet=True).values()
    measured = {(r.factor, r.modality): r for r in found}
    assert {f for f, _ in measured} == {"world_name", "character_texture", "camera_yaw"}
    assert ("camera_yaw", "text") not in measured, "captions do not say the view"
    assert (measured["world_name", "image"].clusters, measured["world_name", "image"].contexts) == (4, 2 * 2 * 2)
    assert measured["camera_yaw", "image"].contexts == 2 * 2 * 2 * 2
    assert measured["world_name", "text"].value == pytest.approx(1, abs=1e-5)
    (named,) = equivariance(dataset, Named(dataset), ["character_name"], quiet=True).values()
    assert named[0].value == pytest.approx(1, abs=1e-5)
    assert named[0].clusters == 2
    assert (named[0].low, named[0].high) == (-1, 1), "two animals say nothing of others"


def test_datasets_without_captions_have_images_alone(tmp_path: Path) -> None:
    factors = {
        "World_Name": ["Desert"], "Character_Name": ["Camel", "Zebra"], "Scene_Light": ["255,255,255,0", "255,0,0,0"],
        "Camera_Roll": [0, 20, 40],
    }  # fmt: skip
    dataset = _made(tmp_path, "Custom", factors)
    (found,) = equivariance(dataset, Named(dataset), quiet=True).values()
    assert {(r.factor, r.modality) for r in found} == {("scene_light", "image"), ("camera_roll", "image")}
