"""An engine without a renderer: its pictures are test cards that show which scene they are.

Use it to verify a bridge: render a shuffled hundred scenes through it with several in flight, and read every
picture back with `read_marker`. The card is a grid of 12 × 12 cells, each black or white: 128 bits of the scene id
row by row, then 16 bits of CRC-16/CCITT over them. It survives JPEG and resizing.
"""

from __future__ import annotations

import binascii
import hashlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.engines.contract import Catalogue, Choice, Engine, Failure, Frame, RenderOptions
from torchmultiverse.scenes import FACTORS, Factor, Scene

GRID = 12
_WORLDS = ["Desert", "Museum", "SaltFlats", "Snow"]
_CHARACTERS = ["blank", "Camel", "Elephant", "Penguin", "Zebra"]
_TEXTURES = ["Blue", "Default", "Grass", "Red", "Stone"]
_SIDES = ["bottom", "center", "left", "location", "right", "top"]


def draw_marker(scene_id: str, width: int, height: int) -> NDArray[np.uint8]:
    """Return the test card of a scene id (32 hex digits) as uint8 (height, width, 3)."""
    data = bytes.fromhex(scene_id)
    data += binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")
    cells = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(GRID, GRID)
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    # The colours differ from scene to scene, so that people see that something happens.
    ink = np.array([data[0] // 4, data[1] // 4, data[2] // 4], np.uint8)
    paper = np.array([255 - data[3] // 4, 255 - data[4] // 4, 255 - data[5] // 4], np.uint8)
    return np.where(cells[rows][:, columns, None] == 1, paper, ink).astype(np.uint8)


def read_marker(image: NDArray[Any]) -> str | None:
    """Return the scene id that a test card shows, or ``None`` if the picture is none.

    Args:
        image: uint8 (H, W, 3) or (H, W), at least 24 pixels a side.
    """
    grey = image.astype(np.float64).mean(-1) if image.ndim == 3 else image.astype(np.float64)
    height, width = grey.shape
    bits = np.empty((GRID, GRID), np.uint8)
    for row in range(GRID):
        for column in range(GRID):
            top, bottom = (row * height) // GRID, ((row + 1) * height) // GRID
            left, right = (column * width) // GRID, ((column + 1) * width) // GRID
            dy, dx = (bottom - top) // 4, (right - left) // 4
            bits[row, column] = grey[top + dy : bottom - dy, left + dx : right - dx].mean() > 127.5
    data = np.packbits(bits.ravel()).tobytes()
    if binascii.crc_hqx(data[:16], 0xFFFF) != int.from_bytes(data[16:], "big"):
        return None
    return data[:16].hex()


class MarkerEngine(Engine):
    """Draws test cards.

    Args:
        delay: seconds that each picture takes, to stand for a renderer.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    @override
    def catalogue(self) -> Catalogue:
        factors = {
            f.wire: Choice(low=f.low, high=f.high, whole=f.whole) if f.kind == "number" else _choice(f)
            for f in FACTORS
            if not f.label and not f.group
        }
        return Catalogue(
            engine="marker",
            version="1",
            fingerprint=hashlib.sha256(b"marker 1").hexdigest()[:16],
            passes=["rgb", "mask", "depth", "normals"],
            factors=factors,
        )

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        width, height = options.size
        catalogue = self.catalogue()
        for scene in scenes:
            problems = catalogue.problems({n: [v] for n, v in scene.complete.items()}, scene.table)
            if problems:
                yield Failure(scene, "; ".join(problems))
                continue
            start = time.perf_counter()
            if self.delay:
                time.sleep(self.delay)
            card = draw_marker(scene.scene_id, width, height)
            arrays: dict[str, NDArray[Any]] = {"rgb": card}
            if "mask" in options.passes:
                arrays["mask"] = (card[..., 0] > 127).astype(np.uint8)
            if "depth" in options.passes:
                arrays["depth"] = card[..., 0].astype(np.float32) / 10
            if "normals" in options.passes:
                arrays["normals"] = np.tile(np.array([0, 0, -1], np.float32), (height, width, 1))
            yield Frame(
                scene,
                arrays=arrays,
                format=options.format,
                settle={"settled": True},
                timings={"render_ms": (time.perf_counter() - start) * 1000},
                engine=catalogue.fingerprint,
            )

    @override
    def close(self) -> None:
        pass


def _choice(factor: Factor) -> Choice:
    levels = _levels(factor.wire)
    return Choice(levels=levels, about={level: name for name, level in factor.names.items() if level in (levels or ())})


def _levels(wire: str) -> list[str] | None:
    if wire == "World_Name":
        return _WORLDS
    if wire == "Scene_Light":
        return ["255,255,255,0", "255,0,0,0"]
    if wire.endswith("_Location"):
        return None
    if wire.endswith("_Pos"):
        return _SIDES
    return _CHARACTERS if wire.endswith("_Name") else _TEXTURES
