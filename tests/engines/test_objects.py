"""An object whose file is wrong in one variant, or that is built otherwise on each call, is found only by the picture
that needs it. So every variant of every file is checked as data here, and one of each class is built."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines.builtin.objects import document, library, object_files, object_names
from torchmultiverse.engines.builtin.objects.expression import number
from torchmultiverse.engines.builtin.objects.pictures import Picture, image
from torchmultiverse.errors import SpecError


@pytest.mark.parametrize("name", object_names())
def test_variants_are_valid(name: str) -> None:
    spec = library.load_spec(name)
    assert spec.parts or spec.species


@pytest.mark.parametrize("file", object_files(), ids=lambda file: file.stem)
def test_files_are_of_their_class_and_small(file: Path) -> None:
    found = json.loads(file.read_text())
    assert found["class"] == file.stem
    assert list(found["variants"]) == [f"{file.stem}_{k + 1}" for k in range(len(found["variants"]))]
    assert file.stat().st_size < 40_000


def check(name: str) -> None:
    """Build an object and measure it."""
    mesh = library.load_object(name)
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    longest = library.load_spec(name).stand.longest
    assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(longest, abs=1e-3)
    assert abs(low[2]) < 1e-4
    assert np.abs((low + high)[:2]).max() < 1e-3
    assert np.isfinite(mesh.vertices).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=2e-3)
    assert 200 <= len(mesh.faces) <= 400_000
    if mesh.parts:
        assert sum(len(part.mesh.faces) for part in mesh.parts) == len(mesh.faces)
        assert len({part.material.name for part in mesh.parts}) <= len(mesh.parts)


@pytest.mark.parametrize("name", object_names()[:1])
def test_objects_are_built_the_same_twice(name: str) -> None:
    spec = library.load_spec(name)
    one, two = (library.build_object(name, spec) for _ in range(2))
    assert one.vertices.tobytes() == two.vertices.tobytes()
    assert one.color.tobytes() == two.color.tobytes()


@pytest.mark.parametrize("file", object_files()[:3], ids=lambda file: file.stem)
def test_the_first_classes_are_built(file: Path) -> None:
    check(next(iter(document.load_class(file.stem).variants)))


@pytest.mark.slow
@pytest.mark.parametrize("name", object_names())
def test_every_object_is_built(name: str) -> None:
    check(name)


def test_the_cache_gives_what_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path))
    name = object_names()[0]
    built = library.load_object(name)
    files = list((tmp_path / "objects").glob("*.npz"))
    assert len(files) == 1
    kept = library.load_object(name)
    assert kept.vertices.tobytes() == built.vertices.tobytes()
    assert [p.material.name for p in kept.parts] == [p.material.name for p in built.parts]
    files[0].write_bytes(files[0].read_bytes()[:2000])  # half a file of a crash
    assert library.load_object(name).vertices.tobytes() == built.vertices.tobytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("r1 + wal", "no parameter 'wal'. Did you mean 'wall'"),
        ("__import__('os')", "not arithmetic"),
        ("r1.real", "not arithmetic"),
        ("r1 +", "here"),
        ("1 / 0", "division"),
        ("9 ** 9 ** 9 ** 9", "here"),
    ],
)
def test_expressions_are_arithmetic_only(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        number(text, {"r1": 1.0, "wall": 0.1}, "here")


def test_pictures_draw_what_they_say() -> None:
    data = {
        "size": [64, 32],
        "draw": [
            {"draw": "all", "fill": "#000000"},
            {
                "draw": "rect",
                "box": [0, 0, 9, 9],
                "fill": "#ff0000",
                "count": 2,
                "repeat": [32, 0],
                "rows": 2,
                "row": [0, 16],
            },
            {"draw": "digits", "text": "8", "at": [14, 2], "high": 20, "fill": "#00ff00"},
            {"draw": "text", "text": "H", "at": [52, 16], "high": 14, "fill": "#0000ff"},
        ],
    }
    made = image(Picture.model_validate_json(json.dumps(data)))
    assert made.shape == (32, 64, 3)
    for x, y in ((4, 4), (36, 4), (4, 20), (36, 20)):
        assert made[y, x].tolist() == [255, 0, 0]
    assert (made == [0, 255, 0]).all(-1).any()
    assert (made[..., 2] > 128).any()
