"""The picture's edge: the camera is turned until a share of the character's outline lies beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torchmultiverse.engines.builtin.annotate import silhouette
from torchmultiverse.engines.builtin.occlusion.family import check
from torchmultiverse.engines.builtin.occlusion.target import Array
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.errors import SpecError

_STEPS, _EXACT = 40, 14
_CLOSE = 0.008
_BEHIND = 0.05


def panned(view: View, angle: float) -> View:
    """Return a view turned to its own right about its own upright axis (radians); the eye stays."""
    c, s = np.cos(angle), np.sin(angle)
    right, down, forward = view.rotation
    return replace(view, rotation=np.stack([right * c - forward * s, down, forward * c + right * s]))


def beyond(view: View, character: CharacterInstance) -> float:
    """Return the share of a character's outline that lies beyond the frame, as annotations count it."""
    margin = max(view.size)
    full = silhouette(character, view, margin)
    total = np.count_nonzero(full)
    inside = np.count_nonzero(full[margin:-margin, margin:-margin])
    return float(1 - inside / total) if total else 1.0


def cropped(view: View, character: CharacterInstance, share: float, rng: np.random.Generator) -> View:
    """Return the view turned so far that the edge crops a share of the character.

    It is turned away from the side on which the character is, or by chance.

    Args:
        view: in the size in which shares are searched.
        character, share: what is cropped, and how much of it.
        rng: chooses the side where the character is in the middle.

    Raises:
        SpecError: the character is not before the camera, or more of it is cut off as it is.
    """
    margin = max(view.size)
    rows, columns = np.nonzero(silhouette(character, view, margin))
    if not len(rows):
        raise SpecError("Occluder = 'edge': the first character is not before the camera; turn the camera to it")
    x, y = view.slopes(columns + 0.5 - margin, rows + 0.5 - margin)
    rays = np.stack([x, y, np.ones(len(x))], -1) @ view.rotation
    middle = float(np.median(columns) + 0.5 - margin) / view.size[0] - 0.5
    side = np.sign(middle) if abs(middle) > 0.04 else (1.0 if rng.random() < 0.5 else -1.0)
    if _outside(rays, 0.0, view) >= share:
        check("edge", share, beyond(view, character))
        return view
    low, high = 0.0, float(np.pi / 2)
    for _ in range(_STEPS):
        angle = (low + high) / 2
        low, high = (angle, high) if _outside(rays, -side * angle, view) < share else (low, angle)
    return _refined(view, character, share, -side * (low + high) / 2)


def _refined(view: View, character: CharacterInstance, share: float, angle: float) -> View:
    """Return the view turned by about an angle, so that annotations count the share beyond the frame.

    Raises:
        SpecError: they do not, however it is turned.
    """
    low, high, now = 0.5 * angle, 1.5 * angle, angle
    best, least = panned(view, angle), np.inf
    for _ in range(_EXACT):
        turned = panned(view, now)
        reached = beyond(turned, character)
        if abs(reached - share) < abs(least - share):
            best, least = turned, reached
        if abs(least - share) < _CLOSE:
            break
        low, high = (now, high) if reached < share else (low, now)
        now = (low + high) / 2
    check("edge", share, least)
    return best


def _outside(rays: Array, angle: float, view: View) -> float:
    """Return the share of rays (N, 3) that a view turned by an angle does not show, each counted as the pixels that it
    is then: what is aside is larger in a picture than the same in its middle."""
    turned = panned(view, angle)
    pixels, depth = turned.project(view.position + rays)
    shown = ((pixels > 0) & (pixels < np.asarray(view.size)) & (depth > _BEHIND)[:, None]).all(1)
    weight = 1 / np.maximum(depth, _BEHIND) ** 3
    return float(1 - weight[shown].sum() / weight.sum())
