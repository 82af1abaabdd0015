"""A lamp or a window pressed onto a body that lands beside, under or inside it renders as nothing at all: the object
just lacks it. So where the vertices end up is measured."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines.builtin.objects.builders import build
from torchmultiverse.engines.builtin.objects.pressed import Press, pressed


@pytest.mark.parametrize(
    ("along", "turn_axes", "axis", "sign"),
    [("front", (0, 2), 1, -1), ("back", (0, 2), 1, 1), ("left", (1, 2), 0, -1), ("right", (1, 2), 0, 1),
     ("top", (0, 1), 2, 1), ("bottom", (0, 1), 2, -1)],
)  # fmt: skip
def test_a_plate_lies_on_the_ball(along: str, turn_axes: tuple[int, int], axis: int, sign: int) -> None:
    ball = build("ball", {"size": 2.0, "sides": 200}, "here").mesh
    ball = type(ball)(ball.vertices - np.float32([0, 0, 1]), ball.faces, ball.normals, ball.uv)
    plate = build("plate", {"outline": {"rect": [0.6, 0.6]}, "depth": 0.02, "fine": 0.1}, "here").mesh
    points = np.zeros_like(plate.vertices)
    points[:, turn_axes[0]], points[:, turn_axes[1]], points[:, axis] = plate.vertices[:, [0, 2, 1]].T
    at = (0.1, 0.1, 0.1)
    mesh = type(plate)(points + np.float32(at), plate.faces, plate.normals, plate.uv)
    out = pressed(mesh, Press(on=["ball"], along=along, lift=0.05), at, {"ball": ball}).vertices
    flat = mesh.vertices[:, turn_axes]
    surface = np.sqrt(1 - (flat**2).sum(1))
    np.testing.assert_allclose(out[:, turn_axes], flat, atol=1e-6)
    own = sign * (mesh.vertices[:, axis] - at[axis])
    np.testing.assert_allclose(sign * out[:, axis], surface + own + 0.05, atol=2e-3)


def test_what_hangs_over_takes_the_nearest_height_and_what_misses_is_refused() -> None:
    box = {"box": build("box", {"size": [1, 1, 1], "r": 0}, "here").mesh}
    plate = build("plate", {"outline": {"rect": [1.5, 0.2]}, "depth": 0.02, "fine": 0.1}, "here").mesh
    up = type(plate)(plate.vertices + np.float32([0, 0, 0.5]), plate.faces, plate.normals, plate.uv)
    out = pressed(up, Press(on=["box"]), (0, 0, 0), box).vertices
    assert np.abs(out[:, 1] + 0.5).max() < 0.011
    with pytest.raises(ValueError, match="nothing of it is over box, seen from the front"):
        pressed(plate, Press(on=["box"]), (0, 0, 0), {"box": type(plate)(plate.vertices + 9, plate.faces)})
    with pytest.raises(ValueError, match="no part 'bax'"):
        pressed(plate, Press(on=["bax"]), (0, 0, 0), box)
