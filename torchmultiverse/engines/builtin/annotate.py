"""Annotations of a picture from its own geometry: masks, depth, normals, boxes, and how much of each thing is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.color import figure_ground
from torchmultiverse.engines import codec
from torchmultiverse.engines.builtin.placement import Actor, View, extent, product, rotation
from torchmultiverse.engines.builtin.renderer import CharacterInstance, RenderBuffers


def passes(
    buffers: RenderBuffers, view: View, wanted: Iterable[str], classes: Mapping[int, int]
) -> dict[str, NDArray[Any]]:
    """Return the annotation passes that are wanted.

    ``mask`` uint8: number of the character, 0 elsewhere. ``class`` uint8, or uint16 where one that is seen is above
    255: ``classes[number]``, 0 elsewhere. ``depth`` float32: metres along the viewing axis (not along the ray), inf for
    sky. ``normals`` float32 (H, W, 3): camera coordinates (x right, y down, z forward), towards the camera, 0 for sky.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name in wanted:
        if name == "mask":
            arrays[name] = buffers.instance
        elif name == "class":
            table = np.zeros(256, np.uint16)
            for number, index in classes.items():
                table[number] = index
            arrays[name] = codec.class_numbers(table[buffers.instance])
        elif name == "depth":
            x, y = view.grid()
            slant = np.sqrt(1 + x**2 + y**2)
            arrays[name] = (buffers.distance / slant).astype(np.float32)
        elif name == "normals":
            arrays[name] = (buffers.shading_normal @ view.rotation.T).astype(np.float32)
    return arrays


def silhouette(
    character: CharacterInstance, view: View, margin: int, known: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return which pixel centres a character alone would cover, on a frame ``margin`` pixels wider on every side.

    A triangle covers the centres inside its projection; those that reach behind the eye are left out.

    Args:
        character, view, margin: what is looked at, from where, and how far beyond the frame.
        known: pixels of the picture (H, W) that it is known to cover: triangles among them need no look, which are
            most of them where it is seen.
    """
    size = np.asarray(view.size) + 2 * margin
    mask = np.zeros((size[1], size[0]), bool)
    if known is not None:
        mask[margin : margin + view.size[1], margin : margin + view.size[0]] = known
    pixels, depth = view.project(character.vertices)
    pixels = pixels + margin
    faces = character.faces
    before = depth > 1e-3
    if not before.all():
        faces = faces[before[faces].all(1)]
    if not len(faces):
        return mask
    # First and last centre of a triangle's box. Of each vertex floor and ceiling are kept as their sum, which grows
    # with the place, so that a triangle's are those of its least and its greatest sum.
    sums = np.clip(np.floor(pixels - 0.5) + np.ceil(pixels - 0.5), -1, 2 * size - 1).astype(np.int32)
    rows = sums.view(np.int64)[:, 0].take(faces).view(np.int32).reshape(-1, 3, 2)
    low = np.minimum(np.minimum(rows[:, 0], rows[:, 1]), rows[:, 2])
    high = np.maximum(np.maximum(rows[:, 0], rows[:, 1]), rows[:, 2])
    low, high = (low + 1) >> 1, high >> 1
    some = np.flatnonzero((high[:, 0] >= low[:, 0]) & (high[:, 1] >= low[:, 1]))
    low, high = low.take(some, 0), high.take(some, 0)
    if known is not None:
        new = _unknown(known, low - margin, high - margin)
        some, low, high = some[new], low[new], high[new]
    corners = pixels[faces.take(some, 0)]
    small = (high - low + 1).prod(1) <= _SMALL
    _cover_by_centres(mask, corners[small], low[small], high[small])
    _cover_by_rows(mask, corners[~small], low[~small], high[~small])
    return mask


_SMALL = 64
"""Pixels of the box of a triangle up to which every centre in it is looked at."""
_ROWS = 1 << 18
"""Rows of large triangles at a time: they take about two hundred bytes each."""


def _cover_by_centres(
    mask: NDArray[np.bool_], corners: NDArray[Any], low: NDArray[np.int32], high: NDArray[np.int32]
) -> None:
    """Add the centres (N boxes of pixels, both ends inclusive) that lie in triangles (N, 3, 2) to a mask."""
    span = high - low + 1
    count = span[:, 0] * span[:, 1]
    # Every candidate centre of every triangle at once: triangles are about as small as pixels, so there are few.
    which = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x = low[which, 0] + within % span[which, 0]
    y = low[which, 1] + within // span[which, 0]
    open_ = ~mask[y, x]
    which, x, y = which[open_], x[open_], y[open_]
    a, b, c = (corners[which, k] for k in range(3))

    def side(p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((q[:, 0] - p[:, 0]) * (y + 0.5 - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x + 0.5 - p[:, 0]))

    ab, bc, ca = side(a, b), side(b, c), side(c, a)
    inside = ((ab >= 0) & (bc >= 0) & (ca >= 0)) | ((ab <= 0) & (bc <= 0) & (ca <= 0))
    mask[y[inside], x[inside]] = True


def _cover_by_rows(
    mask: NDArray[np.bool_], corners: NDArray[Any], low: NDArray[np.int32], high: NDArray[np.int32]
) -> None:
    """Do the same for triangles that are much larger than pixels, as near the eye: by the ends of each row.

    The centres are the very same: on a row the side of an edge changes once, also by its rounded numbers.
    """
    rows = high[:, 1] - low[:, 1] + 1
    ends = np.cumsum(rows)
    begin = 0
    while begin < len(rows):
        done = ends[begin - 1] if begin else 0
        end = max(int(np.searchsorted(ends, done + _ROWS, "right")), begin + 1)
        part = slice(begin, end)
        which = np.repeat(np.arange(begin, end), rows[part])
        y = low[which, 1] + np.arange(len(which)) - np.repeat(ends[part] - rows[part] - done, rows[part])
        first, last = low[which, 0].astype(np.int64), high[which, 0].astype(np.int64)
        left, right = (np.stack([first, first]), np.stack([last, last]))  # of those on the one side and on the other
        for k in range(3):
            p, q = corners[which, k], corners[which, (k + 1) % 3]
            rise, across = q[:, 1] - p[:, 1], (q[:, 0] - p[:, 0]) * (y + 0.5 - p[:, 1])
            for way, sign in enumerate((1.0, -1.0)):
                a, b = _half_row(sign * across, sign * rise, p[:, 0], first, last)
                np.maximum(left[way], a, out=left[way])
                np.minimum(right[way], b, out=right[way])
        steps = np.zeros((mask.shape[0], mask.shape[1] + 1), np.int32)
        for a, b in zip(left, right, strict=True):
            some = a <= b
            np.add.at(steps, (y[some], a[some]), 1)
            np.add.at(steps, (y[some], b[some] + 1), -1)
        mask |= np.cumsum(steps[:, :-1], 1) > 0
        begin = end


def _half_row(
    across: NDArray[Any], rise: NDArray[Any], x: NDArray[Any], first: NDArray[Any], last: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last column from ``first`` to ``last`` with ``rise * (column + 0.5 - x) <= across``."""
    up, flat = rise > 0, rise == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = np.floor(across / rise + x - 0.5)
    # The last column of a row where the left side grows, and the one before the first where it falls.
    at = np.clip(np.nan_to_num(guess), first - 1, last).astype(np.int64)
    while True:  # the quotient may be a column off
        fits, next_fits = rise * (at + 0.5 - x) <= across, rise * (at + 1.5 - x) <= across
        back = (at >= first) & (fits != up) & ~flat
        on = (at < last) & (next_fits == up) & ~back & ~flat
        if not (back.any() or on.any()):
            break
        at += on.astype(np.int64) - back
    none = flat & (across < 0)
    left = np.where(up | flat, first, at + 1)
    right = np.where(up, at, last)
    return np.where(none, last + 1, left), right


def _unknown(known: NDArray[np.bool_], low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which boxes of pixels (N, 2), both ends inclusive, have one that is not known, or lie beyond the frame."""
    height, width = known.shape
    total = np.zeros((height + 1, width + 1), np.int32)
    np.cumsum(np.cumsum(~known, 0, dtype=np.int32), 1, out=total[1:, 1:])
    (left, top), (right, bottom) = low.T, high.T + 1
    within = (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)
    left, top, right, bottom = (np.where(within, end, 0) for end in (left, top, right, bottom))
    found = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return np.asarray(~within | (found > 0))


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels whose eight neighbours are in the mask as well: not those on its outline, where the ray tracer
    and the raster may differ by rounding."""
    inner = np.zeros_like(mask)
    across = mask[:, :-2] & mask[:, 1:-1] & mask[:, 2:]
    inner[1:-1, 1:-1] = across[:-2] & across[1:-1] & across[2:]
    return inner


def _box_2d(mask: NDArray[np.bool_], margin: int = 0) -> list[int] | None:
    """Return left, top, right, bottom (the last two exclusive), in pixels of the picture; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    ends = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return [int(v) - margin for v in ends]


def _oriented(character: CharacterInstance, actor: Actor) -> dict[str, Any]:
    """Return the box that turns with the character: centre, size along its own axes, rotation, eight corners."""
    turn = rotation(actor.yaw, actor.pitch, actor.roll)
    own = product(character.vertices.astype(float), turn)
    low, high = extent(own)
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
    actors: Sequence[Actor],
    characters: Sequence[CharacterInstance | None],
    buffers: RenderBuffers,
    view: View,
    classes: Mapping[int, int],
    rgb: NDArray[np.uint8],
) -> list[Mapping[str, Any]]:
    """Return facts of each character, as JSON values.

    ``box_2d``: what is seen of it, ``box_2d_full``: all of it, also behind things and beyond the frame (pixels: left,
    top, right, bottom). ``box_3d``: low and high corner of the axis-aligned box, ``box_3d_oriented``: the box that
    turns with it (centre, size, rotation, corners), world metres. Of the pixel centres that it alone would cover:
    ``visible_fraction`` is seen, ``truncated_fraction`` lies beyond the frame, ``occluded_fraction`` is hidden in it,
    of which ``occluded_by_character`` by another character; the first three add up to 1. Counted as far as one
    picture's side beyond the frame; what covers nothing there is cut off as a whole. ``figure_ground`` is how far it
    stands out from what is around it in the picture ``rgb`` (see `color.figure_ground`). ``motion``, of what moves: how
    far it goes while the shutter is open, world metres; everything else is of the middle of that.
    """
    margin = max(view.size)
    found: list[Mapping[str, Any]] = []
    for actor in actors:
        character = characters[actor.number - 1]
        assert character is not None
        mine = buffers.instance == actor.number
        full = silhouette(character, view, margin, _inner(mine))
        framed = full[margin:-margin, margin:-margin]
        # On the outline the ray tracer may see a pixel that the raster misses by rounding: it counts as covered.
        total = int(np.count_nonzero(full)) + int(np.count_nonzero(mine & ~framed))
        visible = int(np.count_nonzero(mine))
        covered = framed & ~mine
        hidden = int(np.count_nonzero(covered))
        other = int(np.count_nonzero(covered & (buffers.instance != 0)))
        cut = total - visible - hidden
        low, high = extent(character.vertices)

        if not total:  # behind the camera, further off than was counted, or smaller than the gap of two pixels
            total = cut = 1

        def fraction(count: int, total: int = total) -> float:
            return round(count / total, 4)

        found.append(
            {
                "instance": actor.number,
                "class": classes[actor.number],
                "name": actor.name,
                **({"distractor": True} if actor.distractor else {}),
                "position": actor.position,
                "box_2d": _box_2d(mine),
                "box_2d_full": _box_2d(full, margin),
                "box_3d": [[float(v) for v in low], [float(v) for v in high]],
                "box_3d_oriented": _oriented(character, actor),
                "pixels": visible,
                "visible_fraction": fraction(visible),
                "occluded_fraction": fraction(hidden),
                "occluded_by_character": fraction(other),
                "truncated_fraction": fraction(cut),
                "figure_ground": figure_ground(rgb, mine),
            }
            | ({"motion": [float(v) for v in character.motion]} if any(character.motion) else {})
        )
    return found
