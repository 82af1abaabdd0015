"""An engine, `flat`. It draws a coloured square before a plain background; fog turns both into grey."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from torchmultiverse.engines import Catalogue, Choice, Engine, Failure, Frame, RenderOptions
from torchmultiverse.scenes import Scene

WORLDS = {"Day": (200, 220, 255), "Night": (20, 20, 60)}
COLOURS = {"Red": (220, 30, 30), "Green": (30, 220, 30), "Blue": (30, 30, 220)}


class FlatEngine(Engine):
    """Renders in this process; `Frame` states what each pass holds."""

    def catalogue(self) -> Catalogue:
        """Return the levels and ranges that are drawn."""
        levels = {"World_Name": list(WORLDS), "Character_Name": ["Square"], "Character_Texture": list(COLOURS)}
        factors: dict[str, Any] = {name: Choice(levels=values) for name, values in levels.items()}
        factors["Fog_Density"] = Choice(low=0, high=1)
        return Catalogue(engine="flat", version="1", fingerprint="flat-1", factors=factors)

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:
        """Yield one answer for each scene, in order."""
        for scene in scenes:
            width, height = options.size
            image = np.full((height, width, 3), WORLDS[str(scene["World_Name"])], np.float32)
            image[height // 4 : -height // 4, width // 4 : -width // 4] = COLOURS[str(scene["Character_Texture"])]
            fog = float(scene.complete.get("Fog_Density", 0))
            arrays = {"rgb": (image * (1 - fog) + 128 * fog).astype(np.uint8)}
            yield Frame(scene, arrays=arrays, format=options.format, settle={"settled": True}, engine="flat-1")
