"""Tokens of what is in a picture, from exact masks: objects, their relations, and how they hang together. Pure.

Each object is a token of its pixels and its box; each relation that the masks show (left or right of, in front of or
behind) is a token between two objects; the whole picture is one more. How much each token matters to each other is a
rank: 7 from subject to object, 6 from an object to its relation, 5 from a relation to its object, 4 to 1 to the first
to the fourth nearest object, 0 else; the largest where several hold.

Source: N. Kalibhat, thesis (2024), chapter 6, eq. 6.1. The source takes objects from a segmenter (SEEM) and relations
from a network (RAM); here masks are exact and relations follow from where they are, never from the scene's labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RELATIONS = ("left of", "right of", "in front of", "behind")
"""What is said of two objects; two objects that hardly differ in a direction have no relation in it."""
SUBJECT_OBJECT, NODE_EDGE, EDGE_NODE, NEIGHBOURS = 7, 6, 5, 4
RANKS = 7
CONTEXT = 77
"""Tokens of a picture at most, as in the source."""
SIDE, WHOLE = 16, 32
MOST_OBJECTS = 6
"""Largest objects that become tokens; with their relations, 67 tokens."""
OBJECT_SIZE = SIDE * SIDE * 4 + 5
IMAGE_SIZE = WHOLE * WHOLE * 3
_MARGIN = 0.03


class SceneTokens(NamedTuple):
    """What is in one picture.

    Attributes:
        image: the whole, float32 (`IMAGE_SIZE`,), −1 to 1.
        objects: of each its pixels within its box, its mask, and its box, float32 (V, `OBJECT_SIZE`).
        relations: index of `RELATIONS` of each relation, int64 (U,).
        triplets: subject, object and relation of each, indices of the two, int64 (U, 3).
        boxes: middle, width and height of each object, as shares of the picture, (V, 4).
    """

    image: NDArray[np.float32]
    objects: NDArray[np.float32]
    relations: NDArray[np.int64]
    triplets: NDArray[np.int64]
    boxes: NDArray[np.float64]


def scene_tokens(picture: NDArray[np.uint8]) -> SceneTokens:
    """Return the tokens of a picture with the numbers of its objects.

    Args:
        picture: red, green, blue and number of the object, 0 for none, uint8 (H, W, 4).

    Raises:
        ValueError: another number of channels.
    """
    if picture.ndim != 3 or picture.shape[2] != 4:
        raise ValueError(f"a picture of shape {picture.shape}: height, width and 4 channels are needed")
    pixels, mask = picture[..., :3], picture[..., 3]
    numbers, sizes = np.unique(mask[mask > 0], return_counts=True)
    chosen = np.sort(numbers[np.argsort(-sizes, kind="stable")[:MOST_OBJECTS]])
    height, width = mask.shape
    objects, boxes, bottoms = [], [], []
    for number in chosen.tolist():
        inside = mask == number
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        box = np.array([(left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width,
                        (bottom - top) / height])  # fmt: skip
        within = inside[top:bottom, left:right]
        cut = np.where(within[..., None], pixels[top:bottom, left:right], 128).astype(np.uint8)
        own = [_small(cut, SIDE), _small(within.astype(np.uint8) * 255, SIDE), *np.r_[box, inside.mean()][None]]
        objects.append(np.concatenate([part.ravel() for part in own]).astype(np.float32))
        boxes.append(box)
        bottoms.append(bottom / height)
    found = np.array(boxes).reshape(-1, 4)
    triplets = _relations(found, np.array(bottoms))
    return SceneTokens(
        _small(pixels, WHOLE).ravel(), np.array(objects, np.float32).reshape(-1, OBJECT_SIZE),
        np.array([relation for *_, relation in triplets], np.int64),
        np.array([(a, b, number) for number, (a, b, _) in enumerate(triplets)], np.int64).reshape(-1, 3), found,
    )  # fmt: skip


def _small(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    resized = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    return (np.asarray(resized, np.float32) / 127.5 - 1).astype(np.float32)


def _relations(boxes: NDArray[np.float64], bottoms: NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Return subject, object and relation of every two objects, in both directions.

    What stands lower in the picture stands nearer, on level ground.
    """
    found = []
    for a in range(len(boxes)):
        for b in range(len(boxes)):
            if a == b:
                continue
            if abs(across := boxes[a, 0] - boxes[b, 0]) > _MARGIN:
                found.append((a, b, 0 if across < 0 else 1))
            if abs(near := bottoms[a] - bottoms[b]) > _MARGIN / 3:
                found.append((a, b, 2 if near > 0 else 3))
    return found


def nearest_objects(boxes: NDArray[np.float64]) -> list[list[int]]:
    """Return, for each object, the up to four whose boxes' middles are nearest, the nearest first.

    >>> nearest_objects(np.array([[0.1, 0.5, 0, 0], [0.2, 0.5, 0, 0], [0.9, 0.5, 0, 0]]))
    [[1, 2], [0, 2], [1, 0]]
    """
    distances = np.linalg.norm(boxes[:, None, :2] - boxes[None, :, :2], axis=-1)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")
    return [[int(b) for b in line[: min(NEIGHBOURS, len(boxes) - 1)]] for line in order]


def rank_matrix(
    objects: int, triplets: Sequence[tuple[int, int, int]] | NDArray[np.int64], neighbours: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Return the rank of each token for each other, int64 (T, T) with T = 1 + objects + relations.

    Tokens are the picture, the objects, the relations. Source: eq. 6.1.

    Args:
        objects: how many.
        triplets: subject, object, relation of each relation.
        neighbours: of each object, the nearest first.

    >>> rank_matrix(2, [(0, 1, 0)], [[1], [0]]).tolist()  # picture, two objects, one relation
    [[0, 0, 0, 0], [0, 0, 7, 6], [0, 4, 0, 6], [0, 5, 5, 0]]
    """
    count = 1 + objects + len(triplets)
    ranks = np.zeros((count, count), np.int64)
    for a, others in enumerate(neighbours):
        for k, b in enumerate(others[:NEIGHBOURS], 1):
            ranks[1 + a, 1 + b] = 5 - k
    for a, b, c in np.asarray(triplets, np.int64).reshape(-1, 3).tolist():
        edge = 1 + objects + c
        for one, two, rank in ((1 + a, 1 + b, SUBJECT_OBJECT), (1 + a, edge, NODE_EDGE), (1 + b, edge, NODE_EDGE),
                               (edge, 1 + a, EDGE_NODE), (edge, 1 + b, EDGE_NODE)):  # fmt: skip
            ranks[one, two] = max(ranks[one, two], rank)
    return ranks


def ranks_of(tokens: SceneTokens) -> NDArray[np.int64]:
    """Return the rank matrix of a picture's tokens, (T, T)."""
    return rank_matrix(len(tokens.objects), tokens.triplets, nearest_objects(tokens.boxes))
