"""Cloth that is not round, whose hem is sewn up, or whose neckline hangs on both sides still renders: as flat things of
cardboard. So a tube is measured against a circle, and openings by their edges; and what is printed on cloth must keep
the picture's colours and take the weave's relief."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchmultiverse.engines.builtin.objects.builders import build
from torchmultiverse.engines.builtin.objects.paints import ObjectPaint, material
from torchmultiverse.engines.builtin.objects.pictures import Picture
from torchmultiverse.errors import SpecError

TUBE: dict[str, Any] = {
    "outline": [[0, 0], [0.3, 0], [0.3, 2], [0, 2]],
    "open": [{"start": 0, "end": 1}, {"start": 2, "end": 3}],
    "smooth": 0,
    "full": 1,
    "limit": 10,
}


def test_a_tube_is_round_all_along_and_open_at_its_ends() -> None:
    mesh = build("cloth", TUBE, "here").mesh
    x, y, z = mesh.vertices.T
    radius = np.hypot(x, y)
    for low in (0.0, 0.9, 1.9):
        near = (z >= low) & (z <= low + 0.1)
        assert radius[near].max() == pytest.approx(0.3, abs=0.004)
    end = np.abs(z) < 1e-6
    assert np.ptp(y[end]) == pytest.approx(0.6, abs=0.01)  # its front and its back are apart
    assert (np.hypot(x[end], y[end]) > 0.2).all()  # and nothing closes it


def test_a_neckline_dips_in_front_only() -> None:
    dipped = {**TUBE, "open": [TUBE["open"][0], {"start": 2, "end": 3, "dip": 0.2}]}
    mesh = build("cloth", dipped, "here").mesh
    middle = np.abs(mesh.vertices[:, 0]) < 0.03
    front, back = middle & (mesh.vertices[:, 1] < -0.2), middle & (mesh.vertices[:, 1] > 0.2)
    assert mesh.vertices[front, 2].max() == pytest.approx(1.8, abs=0.01)
    assert mesh.vertices[back, 2].max() == pytest.approx(2.0, abs=0.01)


def test_folds_and_bumps_move_it_as_far_as_they_say() -> None:
    plain = build("cloth", TUBE, "here").mesh.vertices
    bumped = build("cloth", {**TUBE, "bumps": [{"at": [0, 1], "reach": 0.1, "front": 0.2}]}, "here").mesh.vertices
    assert bumped[:, 1].min() < plain[:, 1].min() - 0.05
    assert bumped[:, 1].max() == pytest.approx(plain[:, 1].max(), abs=0.02)
    folded = build("cloth", {**TUBE, "folds": [{"size": 0.1, "depth": 0.05}]}, "here").mesh.vertices
    assert 0.005 < np.abs(folded - plain).max() < 0.1


def test_openings_that_are_not_there_are_told() -> None:
    with pytest.raises(SpecError, match="an opening from 3 to 9 of an outline of 4 points"):
        build("cloth", {**TUBE, "open": [{"start": 3, "end": 9}]}, "here")
    with pytest.raises(SpecError, match="counter-clockwise"):
        build("cloth", {"outline": TUBE["outline"][::-1]}, "here")


def test_a_print_keeps_its_colours_and_takes_the_relief_of_the_weave() -> None:
    pictures = {
        "flag": Picture.model_validate(
            {
                "size": [256, 128],
                "draw": [
                    {"draw": "all", "fill": "#b03030"},
                    {"draw": "rect", "box": [128, 0, 256, 128], "fill": "#3030b0"},
                ],
            }
        )
    }
    paint = {"color": "#ffffff", "picture": "flag", "surface": "canvas", "size": 0.125}
    made = material(ObjectPaint.model_validate(paint), pictures)
    assert made.color is not None
    assert made.height is not None
    assert made.color.shape == (128, 256, 3)
    assert made.height.shape == (128, 256)
    np.testing.assert_allclose(made.color[:, :128].reshape(-1, 3).mean(0), [176, 48, 48], atol=12)
    np.testing.assert_allclose(made.color[:, 128:].reshape(-1, 3).mean(0), [48, 48, 176], atol=12)
    assert made.color[:, :128, 0].std() > 2  # threads
    np.testing.assert_allclose(made.height[:, :32], made.height[:, 32:64])  # a repetition is an eighth of the width
