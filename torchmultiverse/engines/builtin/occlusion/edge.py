"""The picture's edge: the camera is turned until a share of the character's outline lies beyond it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.annotate import silhouette
from torchmultiverse.engines.builtin.occlusion.family import check
from torchmultiverse.engines.builtin.occlusion.target import Array
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.errors import SpecError

_STEPS = 40
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
    width, height = view.size
    x = (columns + 0.5 - margin - width / 2) / view.focal
    y = (rows + 0.5 - margin - height / 2) / view.focal
    rays = np.stack([x, y, np.ones(len(x))], -1)
    middle = float(np.median(x)) * view.focal / width
    side = np.sign(middle) if abs(middle) > 0.04 else (1.0 if rng.random() < 0.5 else -1.0)
    # To the left of the camera's forward lies what it turns to the right of.
    low, high = 0.0, float(np.pi / 2)
    now = _outside(rays, 0.0, view)
    if now < share:
        for _ in range(_STEPS):
            angle = (low + high) / 2
            low, high = (angle, high) if _outside(rays, -side * angle, view) < share else (low, angle)
    found = panned(view, -side * (low + high) / 2 if now < share else 0.0)
    check("edge", share, beyond(found, character))
    return found


def _outside(rays: Array, angle: float, view: View) -> float:
    """Return the share of rays (N, 3: right, down, forward) that a view turned by an angle does not show, each counted
    as the pixels that it is then: an outline's middle is smaller than its end in a wide picture."""
    c, s = np.cos(angle), np.sin(angle)
    x, z = rays[:, 0] * c - rays[:, 2] * s, rays[:, 0] * s + rays[:, 2] * c
    before = z > _BEHIND
    weight = 1 / np.maximum(z, _BEHIND) ** 3
    width, height = view.size
    shown: NDArray[np.bool_] = (np.abs(x) * view.focal < z * width / 2) & (
        np.abs(rays[:, 1]) * view.focal < z * height / 2
    )
    return float(1 - weight[shown & before].sum() / weight.sum())
