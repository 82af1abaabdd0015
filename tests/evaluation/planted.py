"""Models whose scores are known in advance, and drawn pictures to try real models on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from torchmultiverse.models import ModelInfo
from torchmultiverse.store import ImageList

WORLDS = ("Desert", "Snow")
ANIMALS = ("Elephant", "Goldfish", "Penguin", "Zebra")
SETTINGS = (
    ("left", "right", "Default", "Default"),
    ("bottom", "top", "Default", "Default"),
    ("left", "right", "Blue", "Red"),
)
_SKY = {"Desert": ((120, 180, 235), (214, 178, 110)), "Snow": ((190, 205, 225), (240, 244, 250))}
_COLOUR = {"Elephant": (110, 108, 112), "Goldfish": (240, 130, 20), "Penguin": (25, 25, 35), "Zebra": (235, 235, 235)}
_PAINT = {"Blue": (40, 80, 220), "Red": (210, 40, 40)}
_PLACE = {"left": (0.28, 0.62), "right": (0.72, 0.62), "bottom": (0.5, 0.75), "top": (0.5, 0.3)}


def spar_rows(
    worlds: Sequence[str] = WORLDS,
    animals: Sequence[str] = ANIMALS,
    settings: Sequence[tuple[str, str, str, str]] = SETTINGS,
) -> list[dict[str, Any]]:
    names = ("blank", *animals)
    return [
        {
            "world_name": world,
            "character_name": one,
            "character2_name": two,
            "character1_pos": p1,
            "character2_pos": p2,
            "character_texture": t1,
            "character2_texture": t2,
            "scene_id": f"{index:032x}",
        }
        for index, (world, one, two, (p1, p2, t1, t2)) in enumerate(product(worlds, names, names, settings))
    ]


def draw(row: dict[str, Any], rng: np.random.Generator, side: int = 96) -> Image.Image:
    """Draw a row: a world of two colours, each animal a shape of its own."""
    sky, ground = _SKY[row["world_name"]]
    big = side * 2
    image = Image.new("RGB", (big, big), sky)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, int(big * (0.5 + 0.04 * rng.standard_normal())), big, big), fill=ground)
    for n in ("", "2"):
        name = row[f"character{n}_name"]
        if name == "blank":
            continue
        x, y = np.array(_PLACE[row[f"character{n or 1}_pos"]]) * big + rng.normal(0, big * 0.015, 2)
        r = big * 0.15 * rng.uniform(0.85, 1.1)
        colour = _PAINT.get(row[f"character{n}_texture"], _COLOUR[name])
        dark = tuple(int(c * 0.45) for c in colour)
        if name == "Elephant":
            pen.rounded_rectangle((x - r, y - r * 0.7, x + r, y + r * 0.3), r * 0.4, fill=colour)
            for leg in (-0.8, 0.5):
                pen.rectangle((x + leg * r, y, x + (leg + 0.3) * r, y + r * 0.9), fill=colour)
            pen.line((x + r, y - 0.2 * r, x + 1.3 * r, y + 0.8 * r), fill=colour, width=int(r * 0.2))
        elif name == "Goldfish":
            pen.ellipse((x - r, y - r * 0.5, x + r * 0.7, y + r * 0.5), fill=colour)
            pen.polygon([(x + r * 0.5, y), (x + r * 1.2, y - r * 0.5), (x + r * 1.2, y + r * 0.5)], fill=dark)
        elif name == "Penguin":
            pen.ellipse((x - r * 0.45, y - r, x + r * 0.45, y + r), fill=colour)
            pen.ellipse((x - r * 0.25, y - r * 0.4, x + r * 0.25, y + r * 0.8), fill=(250, 250, 250))
        else:
            pen.rounded_rectangle((x - r, y - r * 0.5, x + r, y + r * 0.2), r * 0.2, fill=colour)
            for stripe in np.linspace(-0.8, 0.8, 6):
                pen.line((x + stripe * r, y - r * 0.5, x + stripe * r, y + r * 0.2), fill=dark, width=int(r * 0.1))
            for leg in (-0.8, 0.6):
                pen.rectangle((x + leg * r, y, x + (leg + 0.15) * r, y + r), fill=dark)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def drawn_spar(side: int = 96, seed: int = 0, **levels: Any) -> ImageList:
    from torchmultiverse.scenes import spar_caption

    rng = np.random.default_rng(seed)
    rows = [{**row, "caption": spar_caption(row)} for row in spar_rows(**levels)]
    return ImageList([draw(row, rng, side) for row in rows], rows, name="drawn SPAR")


class Tagged(ImageList):
    """Pictures that carry their row number in their first pixels, so that a planted model can look up the truth."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        images = []
        for index in range(len(rows)):
            pixels = np.zeros((2, 2, 3), np.uint8)
            pixels[0, 0] = (index >> 16 & 255, index >> 8 & 255, index & 255)
            images.append(Image.fromarray(pixels))
        super().__init__(images, rows, name="tagged")
        self.rows = list(rows)


class Planted:
    """An image-text model that sees what ``facts`` says of a picture, as words, and reads captions with full grammar.

    Vectors are one-hot in the space of statements; a caption's score is the share of its statements that hold.
    """

    def __init__(self, pictures: Tagged, name: str, sees: Sequence[str]) -> None:
        self.info = ModelInfo(name, "scorer")
        self._rows, self._sees = pictures.rows, set(sees)
        self.calls: list[int] = []

    def score(self, images: Sequence[Image.Image], captions: Sequence[str]) -> np.ndarray:
        table = np.zeros((len(images), len(captions)), np.float32)
        for i, image in enumerate(images):
            r, g, b = image.getpixel((0, 0))
            index = r << 16 | g << 8 | b
            self.calls.append(index)
            for j, caption in enumerate(captions):
                table[i, j] = self._fits(self._rows[index], caption)
        return table

    def _fits(self, row: dict[str, Any], caption: str) -> float:
        """Return 1 where nothing the model sees contradicts the caption."""
        world = re.search(r"in a (\w+) environment", caption)
        if world and "world" in self._sees and world[1] != row["world_name"]:
            return 0.0
        shown = [
            (row[f"character{n}_name"], row[f"character{n or 1}_pos"], row[f"character{n}_texture"])
            for n in ("", "2")
            if row[f"character{n}_name"] != "blank"
        ]
        said = re.findall(
            r" a (\w+)(?: textured with (\w+))?(?: on the (\w+))?",
            caption.removeprefix("This is a photo").split(" in a ")[0],
        )
        if said and "animals" in self._sees:
            if sorted(name for name, _, _ in said) != sorted(name for name, _, _ in shown):
                return 0.0
            by_name = {(name, side, texture) for name, side, texture in shown}
            for name, texture, side in said:
                if not any(
                    n == name and (not side or s == side) and (not texture or t == texture) for n, s, t in by_name
                ):
                    return 0.0
        return 1.0
