"""Pictures of glyphs whose world, light, pose and size are known: made in no time, for planted ladders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from torchmultiverse.store import ImageList

CLASSES = 8
WORLDS = 8
SIDE = 24


def glyph(code: int) -> Image.Image:
    """A pattern of 4 × 4 cells, half of them white in every class, so that only their places tell classes apart."""
    cells = np.zeros(16, bool)
    cells[np.random.default_rng((7, code)).permutation(16)[:8]] = True
    return Image.fromarray((cells.reshape(4, 4) * 255).astype(np.uint8)).resize((12, 12), Image.Resampling.NEAREST)


def drawn(code: int, world: int, light: float, yaw: float, scale: float, rng: np.random.Generator) -> Image.Image:
    """One picture."""
    hue = np.random.default_rng((3, world)).uniform(20, 130, 3)
    canvas = np.tile(hue, (SIDE, SIDE, 1)) + rng.normal(0, 6, (SIDE, SIDE, 3))
    side = max(6, round(12 * scale))
    mask = glyph(code).resize((side, side), Image.Resampling.BILINEAR).rotate(yaw, expand=True)
    mask = mask.crop((0, 0, min(mask.width, SIDE), min(mask.height, SIDE)))
    y, x = ((SIDE - n) // 2 + int(rng.integers(-2, 3)) for n in (mask.height, mask.width))
    y, x = max(0, min(y, SIDE - mask.height)), max(0, min(x, SIDE - mask.width))
    cover = np.zeros((SIDE, SIDE, 1))
    cover[y : y + mask.height, x : x + mask.width, 0] = np.asarray(mask) / 255
    pixels = (canvas * (1 - cover) + 235 * cover) * light
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def glyphs(
    per_class: int, free: tuple[str, ...], seed: int, classes: int = CLASSES, name: str = "glyphs", first: int = 0
) -> ImageList:
    """Pictures in which some groups (worlds, lights, poses, sizes) vary, and the others are at their usual values.

    Worlds are those from ``first`` on.
    """
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for code in np.repeat(np.arange(classes), per_class).tolist():
        row: dict[str, str | int | float] = {"label": f"glyph{code}"} | factors(free, rng)
        row["world"] = first + int(row["world"])
        images.append(
            drawn(code, int(row["world"]), float(row["light"]), float(row["camera_yaw"]), float(row["scale"]), rng)
        )
        rows.append(row | {"world": f"world{row['world']}"})
    return ImageList(images, rows, name)


def factors(free: tuple[str, ...], rng: np.random.Generator) -> dict[str, int | float]:
    """The values of one picture; what is not free is within a tenth of its range about the usual value."""

    def within(group: str, low: float, high: float, usual: float) -> float:
        if group in free:
            return float(rng.uniform(low, high))
        half = 0.05 * (high - low)
        return float(rng.uniform(usual - half, usual + half))

    return {
        "world": int(rng.integers(WORLDS)) if "worlds" in free else 0,
        "light": within("lights", 0.6, 1.1, 0.9), "camera_yaw": round(within("poses", -180, 180, 0)) % 360,
        "scale": within("sizes", 0.7, 1.3, 1.0),
    }  # fmt: skip


def mixed(per_class: int, seed: int, classes: int = CLASSES) -> ImageList:
    """Pictures of all widths: each group is free in half of them, so that every step finds pictures of its own."""
    rng = np.random.default_rng(seed)
    images: list[Image.Image] = []
    rows: list[Mapping[str, str | int | float]] = []
    groups = ("worlds", "lights", "poses", "sizes")
    for free in [tuple(g for k, g in enumerate(groups) if code >> k & 1) for code in range(16)]:
        part = glyphs(per_class, free, int(rng.integers(2**31)), classes)
        images += part.iter_images()
        rows += part.table().to_pylist()
    return ImageList(images, rows, "mixed glyphs")
