"""Contact sheets: many small pictures in rows, with labels, as one picture for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from torchmultiverse.images import ImageError, rgb

MOST_PIXELS = 100_000_000
"""A larger sheet is refused: few programs show it."""
_LONGEST = 65_500  # pixels of a side that JPEG can hold
_GAP = 6
_SPACED = 16
Color = str | tuple[int, int, int]
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z\s_]+|_|\s+|[A-Z]")


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture of a sheet and what stands below it.

    Attributes:
        image: of any size and mode; ``None`` leaves the place empty.
        label: as many lines as it needs.
        color: of the label.
    """

    image: Image.Image | None
    label: str = ""
    color: Color = "black"


def contact_sheet(
    rows: Sequence[Sequence[Tile]],
    side: int = 160,
    *,
    heads: Sequence[str] = (),
    names: Sequence[str] = (),
    titles: Sequence[str] = (),
    group: int = 0,
) -> Image.Image:
    """Return a sheet, RGB. No label is cut: each is broken into lines, between its words where it has several.

    Args:
        rows: of tiles; they may be of different lengths.
        side: pixels that a picture has at most, either way; smaller ones are enlarged by a whole number.
        heads: above the columns.
        names: on the left of the rows.
        titles: a line above each row.
        group: so many columns stand closer to each other than to the next ones.

    Raises:
        ImageError: the sheet would be too large for most programs that show pictures.
    """
    pictures = [[None if tile.image is None else fitted(tile.image, side) for tile in row] for row in rows]
    there = [picture for row in pictures for picture in row if picture is not None]
    wide, high = (max((of(picture) for picture in there), default=side) for of in (_width, _height))
    text = _Text(wide)
    columns = max([len(heads), *(len(row) for row in rows)])
    left = _GAP + max((text.width(name, side) + _GAP for name in names), default=0)
    places = [left + k * (wide + _GAP) + (_SPACED * (k // group) if group else 0) for k in range(columns)]
    width = places[-1] + wide + _GAP
    tops, bottom = [], _GAP + max((text.height(head, wide) for head in heads), default=0)
    for k, row in enumerate(rows):
        bottom += text.height(titles[k], width - 2 * _GAP) if titles else 0
        tops.append(bottom)
        bottom += high + max((text.height(tile.label, wide) for tile in row), default=0) + _GAP
    if max(width, bottom) > _LONGEST or width * bottom > MOST_PIXELS:
        raise ImageError(
            f"a sheet of {len(rows):,} rows and {columns:,} columns would have {width:,} × {bottom:,} pixels: "
            "fewer or smaller pictures are needed"
        )
    sheet = Image.new("RGB", (width, bottom), "white")
    pen = ImageDraw.Draw(sheet)
    for head, x in zip(heads, places, strict=False):
        text.write(pen, (x, _GAP // 2), head, wide)
    for k, (row, y) in enumerate(zip(rows, tops, strict=True)):
        if titles:
            text.write(pen, (_GAP, y - text.height(titles[k], width - 2 * _GAP)), titles[k], width - 2 * _GAP)
        if names:
            text.write(pen, (_GAP, y), names[k], side)
        for tile, picture, x in zip(row, pictures[k], places, strict=False):
            if picture is not None:
                sheet.paste(picture, (x + (wide - picture.width) // 2, y + (high - picture.height) // 2))
            text.write(pen, (x, y + high), tile.label, wide, tile.color)
    return sheet


def in_rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    """Return tiles in rows of so many.

    >>> [len(row) for row in in_rows([Tile(None)] * 5, 2)]
    [2, 2, 1]
    """
    return [tiles[k : k + columns] for k in range(0, len(tiles), columns)]


def fitted(image: Image.Image, side: int) -> Image.Image:
    """Return a picture as RGB of at most ``side`` pixels either way; a small one is enlarged by a whole number."""
    image = rgb(image)
    longest = max(image.size)
    if longest <= side:
        factor = side // longest
        size = (image.width * factor, image.height * factor)
        return image if factor == 1 else image.resize(size, Image.Resampling.NEAREST)
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _width(image: Image.Image) -> int:
    return image.width


def _height(image: Image.Image) -> int:
    return image.height


class _Text:
    """Text in lines that fit: their size, and how they are drawn."""

    def __init__(self, wide: int) -> None:
        self.font = ImageFont.load_default(max(10, min(16, wide // 10)))
        self.line = sum(self.font.getmetrics()) + 1 if isinstance(self.font, ImageFont.FreeTypeFont) else 12

    def width(self, text: str, room: int) -> int:
        return int(max((self.font.getlength(line) for line in self.lines(text, room)), default=0)) + 1

    def height(self, text: str, room: int) -> int:
        return self.line * len(self.lines(text, room))

    def write(
        self, pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, room: int, color: Color = "black"
    ) -> None:
        for k, line in enumerate(self.lines(text, room)):
            pen.text((at[0], at[1] + k * self.line), line, color, self.font)

    def lines(self, text: str, room: int) -> list[str]:
        """Return a text in lines that fit, broken between words, or else in a word."""
        lines: list[str] = []
        for given in text.splitlines():
            line = ""
            for word in _WORDS.findall(given):
                if line and self.font.getlength((line + word).rstrip()) > room:
                    lines.append(line.rstrip())
                    line, word = "", word.lstrip()
                while self.font.getlength(word) > room and len(word) > 1:
                    fits = next((n for n in range(len(word), 1, -1) if self.font.getlength(word[:n]) <= room), 1)
                    lines.append(word[:fits])
                    word = word[fits:]
                line += word
            lines.append(line.rstrip())
        return lines
