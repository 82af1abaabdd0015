"""A builder that turns a face inside out, leaves a hole or loses its scale still renders: as a dark patch, a
shadow that is not there, an object of the wrong size. So each builder's mesh is measured: its volume by its faces, its
normals, its extent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchmultiverse.engines.builtin.objects.builders import build, kinds
from torchmultiverse.engines.builtin.objects.geometry import Built, creased, triangulated, welded
from torchmultiverse.errors import SpecError


def volume(built: Built) -> float:
    """Return the volume that a closed mesh encloses; negative where it is inside out."""
    corners = built.mesh.vertices[built.mesh.faces].astype(float)
    return float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def open_edges(built: Built) -> int:
    _, faces = welded(built.mesh.vertices, built.mesh.faces, 4)
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    return int((count % 2).sum())


CLOSED: dict[str, tuple[str, dict[str, Any], float]] = {
    "cylinder": ("turn", {"profile": [[0, 0], [0.5, 0], [0.5, 2], [0, 2]], "sides": 360}, np.pi / 2),
    "cup": ("turn", {"profile": [[0.5, 0], [0.5, 1]], "wall": 0.1, "sides": 360}, np.pi * (0.25 - 0.16 * 0.9)),
    "hexagon": (
        "turn",
        {"profile": [[0, 0], [1, 0], [1, 1], [0, 1]], "corners": 6, "round": 0, "sides": 360},
        1.5 * 3**0.5,
    ),
    "ball": ("ball", {"size": [2, 1, 1], "sides": 300}, np.pi / 3),
    "pipe": ("sweep", {"path": [[0, 0, 0], [3, 0, 0]], "r": 0.5, "sides": 160}, 0.75 * np.pi),
    "bar": (
        "sweep",
        {
            "path": [[0, 0, 0], [0, 3, 0]],
            "section": [[-0.1, -0.2], [0.1, -0.2], [0.1, 0.2], [-0.1, 0.2]],
            "sharp": True,
        },
        0.24,
    ),
    "ring": ("ring", {"r": 2, "section": [0.2, 0.2], "sides": 80, "around": 400}, 2 * np.pi**2 * 2 * 0.04),
    "spring": ("spring", {"r": 1, "h": 2, "turns": 5, "wire": 0.1, "sides": 40}, 10 * np.pi * 0.01 * np.pi),
    "box": ("box", {"size": [1, 2, 3], "r": 0}, 6.0),
    "rounded box": ("box", {"size": [1, 1, 1], "r": 0.5, "seg": 16}, np.pi / 6),
    "plate": ("plate", {"outline": {"rect": [2, 1]}, "depth": 0.5, "holes": [{"circle": 0.2}]}, 1 - 0.02 * np.pi),
    "rim": ("plate", {"outline": {"points": [[0, 0], [2, 0], [2, 1], [0, 1]]}, "depth": 0.5, "rim": 0.1}, 0.28),
    "rounded plate": (
        "plate",
        {"outline": {"points": [[0, 0], [2, 0], [2, 1], [0, 1]], "r": 0.4}, "depth": 0.5},
        1 - 0.5 * 4 * 0.16 / 6,
    ),
    "bevelled plate": ("plate", {"outline": {"circle": 1}, "depth": 0.4, "bevel": 0.05}, np.pi * 0.4),
    "bent plate": ("plate", {"outline": {"rect": [2, 1]}, "depth": 0.1, "bend": 1.0}, 0.2),
    "loft": (
        "loft",
        {
            "sections": [{"at": [0, 0, 0], "width": 1, "height": 1}, {"at": [2, 0, 0], "width": 1, "height": 1}],
            "sides": 240,
        },
        2 * np.pi,
    ),
    "hull": (
        "loft",
        {
            "sections": [{"at": [0, 0, 0], "width": 1, "height": 1}, {"at": [2, 0, 0], "width": 0, "height": 0}],
            "ends": "point",
        },
        2 * np.pi / 3,
    ),
    "strips": ("panels", {"of": "strips", "r": 1, "groove": 0, "fine": 30}, 4 / 3 * np.pi),
    "shell": (
        "shell",
        {"outline": [[0, 0], [2, 0], [2, 1], [0, 1]], "width": [[0, 0.5], [1, 0.5]], "bevel": 0, "fine": 0.15},
        2.0,
    ),
    "car": (
        "shell",
        {
            "outline": [[0, 0], [4, 0], [4, 1], [0, 1]],
            "arches": [[1, 0, 0.4]],
            "width": [[0, 1], [0.5, 1], [1, 0.8]],
            "soft": False,
            "bevel": 0.05,
            "bow": [0.1, 0.2],
            "round": 0.05,
        },
        4 * 1.9 - np.pi * 0.16 - 0.1,
    ),
    "cloth": ("cloth", {"outline": [[-1, -1], [1, -1], [1, 1], [-1, 1]], "smooth": 0, "mirror": False}, 1.41),
    "leaf": ("leaf", {"length": 1, "width": 0.4, "thick": 0.1}, 0.014),
    "blend": ("blend", {"solids": [{"ball": 1.0}, {"ball": 0.5, "carve": True, "blend": 0}]}, 7 / 6 * np.pi),
    "kept blend": ("blend", {"solids": [{"box": [1, 1, 1]}, {"cylinder": [0.5, 2], "keep": True}]}, np.pi / 2),
}


SHEETS = {"leaf", "strips"}
"""Made of sheets whose edges do not quite meet."""


@pytest.mark.parametrize("name", CLOSED)
def test_bodies_are_closed_outward_and_of_their_volume(name: str) -> None:
    kind, parameters, expected = CLOSED[name]
    built = build(kind, parameters, "here")
    if name not in SHEETS:
        assert open_edges(built) == 0
    assert volume(built) == pytest.approx(expected, rel=0.4 if name == "leaf" else 0.04)


@pytest.mark.parametrize("name", CLOSED)
def test_normals_are_of_unit_length_and_agree_with_the_faces(name: str) -> None:
    kind, parameters, _ = CLOSED[name]
    mesh = build(kind, parameters, "here").mesh
    assert mesh.normals is not None
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
    corners = mesh.vertices[mesh.faces].astype(float)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(face, axis=1)
    along = (face * mesh.normals[mesh.faces].mean(1)).sum(1) / np.maximum(size, 1e-12)
    assert np.average(along > 0.5, weights=size) > 0.98


@pytest.mark.parametrize("name", CLOSED)
def test_wrappings_are_within_the_picture(name: str) -> None:
    kind, parameters, _ = CLOSED[name]
    built = build(kind, parameters, "here")
    assert built.mesh.uv is not None
    if built.unit is not None:
        assert built.unit.shape == built.mesh.uv.shape
        assert built.unit.min() >= -1e-5
        assert built.unit.max() <= 1 + 1e-5


@pytest.mark.parametrize("name", sorted(set(CLOSED) - {"leaf"}))  # whose back shows the front's picture
def test_pictures_are_not_mirrored(name: str) -> None:
    """Text that is read from the wrong side is the first thing a person sees, and no other test does."""
    kind, parameters, _ = CLOSED[name]
    built = build(kind, parameters, "here")
    if built.unit is None:
        return
    a, b, c = np.moveaxis(built.unit[built.mesh.faces].astype(float), 1, 0)
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    corners = built.mesh.vertices[built.mesh.faces].astype(float)
    size = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert np.average(turn >= 0, weights=size) > 0.85  # not the thin walls of plates, where front and back meet


def test_every_builder_is_measured() -> None:
    measured = {kind for kind, _, _ in CLOSED.values()}
    assert set(kinds()) <= measured, "a builder without a case here"


def test_creases_stay_sharp_and_the_rest_is_smooth() -> None:
    box = build("box", {"size": [1, 1, 1], "r": 0}, "here").mesh
    sharp = creased(box.vertices, box.faces, 35)
    assert len(sharp.vertices) == 24
    assert sharp.normals is not None
    assert np.sort(np.abs(sharp.normals), 1)[:, :2].max() < 1e-6
    assert len(creased(box.vertices, box.faces, 100).vertices) < 24 + 1


def test_polygons_with_holes_have_their_area() -> None:
    outer = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    hole = np.array([[1, 1], [1, 2], [2, 2], [2, 1]], float)
    points = np.concatenate([outer, hole])
    a, b, c = np.moveaxis(points[triangulated([outer, hole])], 1, 0)
    cross = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert cross.sum() / 2 == pytest.approx(15)
    assert (cross > 0).all()


@pytest.mark.parametrize(
    ("kind", "parameters", "told"),
    [
        ("trun", {}, "here: no builder 'trun'. Did you mean 'turn'"),
        ("turn", {"profile": [[0, 0]]}, "here \\(turn\\)"),
        ("turn", {"profile": [[0, 0], [1, 0]], "side": 3}, "side"),
        ("box", {"size": [1, 0, 1]}, "each must be above 0"),
        ("sweep", {"path": [[0, 0, 0], [1, 0, 0]], "r": [1, 2, 3]}, "3 numbers for 2 points"),
        ("plate", {"outline": {"circle": 1, "rect": [1, 1]}}, "one of points, circle"),
        ("blend", {"solids": [{"ball": 1, "carve": True}]}, "nothing to carve from"),
    ],
)
def test_errors_name_the_place(kind: str, parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        build(kind, parameters, "here")
