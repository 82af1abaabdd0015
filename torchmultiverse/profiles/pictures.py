"""Whether a picture can be what was asked for: not all of one colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchmultiverse.engines import Catalogue, Engine, Failure, RenderOptions
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene

PICTURE_SIZE = (256, 256)
"""Width and height in pixels of the picture that a check renders."""
_STEPS = 4
"""Of 255, by which the pixels of a picture of one colour may differ: JPEG is not exact."""


def sample_scene(catalogue: Catalogue) -> Scene:
    """Return a scene that an engine can render: its first world and its first character that is not blank."""
    worlds = catalogue.factors.get("World_Name")
    characters = catalogue.factors.get("Character_Name")
    return Scene(
        {
            "World_Name": (worlds and worlds.levels and worlds.levels[0]) or "Desert",
            "Character_Name": next((c for c in (characters and characters.levels) or [] if c != "blank"), "blank"),
        }
    )


def picture_problem(pixels: np.ndarray[Any, Any]) -> str | None:
    """Return what is wrong with a picture, or ``None``.

    Args:
        pixels: height × width × 3, uint8.
    """
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    if np.any(high.astype(int) - low > _STEPS):
        return None
    middle = [int(value) for value in np.median(pixels.reshape(-1, pixels.shape[-1]), axis=0)]
    if max(middle) <= _STEPS:
        return "it is black all over"
    return f"it is of one colour all over, {tuple(middle)}"


def check_picture(engine: Engine, name: str) -> None:
    """Render a small picture, and refuse an engine whose picture cannot be right.

    Raises:
        EngineError: it fails, or is of one colour.
    """
    (answer,) = engine.render([sample_scene(engine.catalogue())], RenderOptions(size=PICTURE_SIZE))
    problem = answer.reason if isinstance(answer, Failure) else picture_problem(answer.array())
    if problem is not None:
        raise EngineError(
            f"{name}: the first picture: {problem}; see the log (torchmultiverse engine logs), the camera and the "
            "lights of the project, and whether its shaders were compiled for this card"
        )
