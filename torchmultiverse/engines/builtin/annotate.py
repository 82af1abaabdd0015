"""Annotations of a picture from its own geometry: masks, depth, normals, boxes, and how much of each thing is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.renderer import Costume, Raw
from torchmultiverse.engines.builtin.stage import Actor, View, rotation


def passes(raw: Raw, view: View, wanted: Iterable[str], classes: Mapping[int, int]) -> dict[str, NDArray[Any]]:
    """Return the annotation passes that are wanted.

    ``mask`` uint8: number of the character, 0 elsewhere. ``class`` uint8: ``classes[number]``, 0 elsewhere. ``depth``
    float32: metres along the viewing axis (not along the ray), inf for sky. ``normals`` float32 (H, W, 3): camera
    coordinates (x right, y down, z forward), towards the camera, 0 for sky.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name in wanted:
        if name == "mask":
            arrays[name] = raw.shape
        elif name == "class":
            table = np.zeros(256, np.uint8)
            for number, index in classes.items():
                table[number] = index
            arrays[name] = table[raw.shape]
        elif name == "depth":
            width, height = view.size
            x = (np.arange(width) + 0.5 - width / 2) / view.focal
            y = (np.arange(height) + 0.5 - height / 2) / view.focal
            slant = np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)
            arrays[name] = (raw.distance / slant).astype(np.float32)
        elif name == "normals":
            arrays[name] = (raw.facing @ view.rotation.T).astype(np.float32)
    return arrays


def silhouette(costume: Costume, view: View, margin: int) -> NDArray[np.bool_]:
    """Return which pixel centres a character alone would cover, on a frame ``margin`` pixels wider on every side.

    A triangle covers the centres inside its projection; those that reach behind the eye are left out.
    """
    width, height = view.size
    pixels, depth = view.project(costume.vertices)
    pixels = pixels + margin
    corners = pixels[costume.faces]
    corners = corners[(depth[costume.faces] > 1e-3).all(1)]
    mask = np.zeros((height + 2 * margin, width + 2 * margin), bool)
    if not len(corners):
        return mask
    low = np.maximum(np.ceil(corners.min(1) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1) - 0.5), [mask.shape[1] - 1, mask.shape[0] - 1]).astype(np.int64)
    span = high - low + 1
    some = (span > 0).all(1)
    corners, low, span = corners[some], low[some], span[some]
    count = span[:, 0] * span[:, 1]
    # Every candidate centre of every triangle at once: triangles are about as small as pixels, so there are few.
    which = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x = low[which, 0] + within % span[which, 0]
    y = low[which, 1] + within // span[which, 0]
    a, b, c = (corners[which, k] for k in range(3))

    def side(p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((q[:, 0] - p[:, 0]) * (y + 0.5 - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x + 0.5 - p[:, 0]))

    edges = np.stack([side(a, b), side(b, c), side(c, a)])
    inside = (edges >= 0).all(0) | (edges <= 0).all(0)
    mask[y[inside], x[inside]] = True
    return mask


def _box_2d(mask: NDArray[np.bool_], margin: int = 0) -> list[int] | None:
    """Return left, top, right, bottom (the last two exclusive), in pixels of the picture; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return [int(v) - margin for v in ends]


def _oriented(costume: Costume, actor: Actor) -> dict[str, Any]:
    """Return the box that turns with the character: centre, size along its own axes, rotation, eight corners."""
    turn = rotation(actor.yaw, actor.pitch, actor.roll)
    own = costume.vertices.astype(float) @ turn
    low, high = own.min(0), own.max(0)
    centre = turn @ ((low + high) / 2)
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = centre + (signs * (high - low) / 2) @ turn.T
    return {
        "center": [float(v) for v in centre],
        "size": [float(v) for v in high - low],
        "rotation": [[float(v) for v in row] for row in turn],
        "corners": [[float(v) for v in corner] for corner in corners],
    }


def objects(
    cast: Sequence[Actor], costumes: Sequence[Costume | None], raw: Raw, view: View, classes: Mapping[int, int]
) -> list[Mapping[str, Any]]:
    """Return facts of each character, as JSON values.

    ``box_2d``: what is seen of it, ``box_2d_full``: all of it, also behind things and beyond the frame (pixels: left,
    top, right, bottom). ``box_3d``: low and high corner of the axis-aligned box, ``box_3d_oriented``: the box that
    turns with it (centre, size, rotation, corners), world metres. Of the pixel centres that it alone would cover:
    ``visible_fraction`` is seen, ``truncated_fraction`` lies beyond the frame, ``occluded_fraction`` is hidden in it,
    of which ``occluded_by_character`` by another character; the first three add up to 1. Counted as far as one
    picture's side beyond the frame; what covers nothing there is cut off as a whole.
    """
    margin = max(view.size)
    found: list[Mapping[str, Any]] = []
    for actor in cast:
        costume = costumes[actor.number - 1]
        assert costume is not None
        full = silhouette(costume, view, margin)
        framed = full[margin:-margin, margin:-margin]
        mine = raw.shape == actor.number
        # On the outline the ray tracer may see a pixel that the raster misses by rounding: it counts as covered.
        total = int(full.sum()) + int((mine & ~framed).sum())
        visible = int(mine.sum())
        hidden = framed & ~mine
        other = int((hidden & (raw.shape != 0)).sum())
        cut = total - visible - int(hidden.sum())
        low, high = costume.vertices.min(0), costume.vertices.max(0)

        if not total:  # behind the camera, further off than was counted, or smaller than the gap of two pixels
            total = cut = 1

        def share(count: int, total: int = total) -> float:
            return round(count / total, 4)

        found.append(
            {
                "instance": actor.number,
                "class": classes[actor.number],
                "name": actor.name,
                "position": actor.position,
                "box_2d": _box_2d(mine),
                "box_2d_full": _box_2d(full, margin),
                "box_3d": [[float(v) for v in low], [float(v) for v in high]],
                "box_3d_oriented": _oriented(costume, actor),
                "pixels": visible,
                "visible_fraction": share(visible),
                "occluded_fraction": share(int(hidden.sum())),
                "occluded_by_character": share(other),
                "truncated_fraction": share(cut),
            }
        )
    return found
