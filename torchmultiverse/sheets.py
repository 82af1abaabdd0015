"""Contact sheets: many small pictures in rows, with labels, as one picture for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from torchmultiverse.images import ImageError, rgb

MOST_PIXELS = 100_000_000
"""A sheet with more, labels aside, is refused: few programs show it."""
_LONGEST = 65_500  # pixels of a side that JPEG can hold
_GAP = 6
_SPACED = 16
Color = str | tuple[int, int, int]
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+|_|[A-Z]")
"""Of a word: those of CamelCase, and what underscores part."""


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
    columns = max([len(heads), *(len(row) for row in rows)])
    if not columns or len(rows) * columns * side**2 > MOST_PIXELS:
        raise ImageError(f"{len(rows):,} rows and {columns:,} columns of {side} pixels: too many, or none")
    pictures = [[None if tile.image is None else fitted(tile.image, side) for tile in row] for row in rows]
    there = [picture for row in pictures for picture in row if picture is not None]
    wide, high = (max((of(picture) for picture in there), default=side) for of in (_width, _height))
    text = _Text(wide)
    left = _GAP + max((text.width(name, side) + _GAP for name in names), default=0)
    places = [left + k * (wide + _GAP) + (_SPACED * (k // group) if group else 0) for k in range(columns)]
    width = places[-1] + wide + _GAP
    tops, bottom = [], _GAP + max((text.height(head, wide) for head in heads), default=0)
    for k, row in enumerate(rows):
        bottom += text.height(titles[k], width - 2 * _GAP) if titles else 0
        tops.append(bottom)
        bottom += high + max((text.height(tile.label, wide) for tile in row), default=0) + _GAP
    if max(width, bottom) > _LONGEST:
        raise ImageError(f"a sheet of {width:,} × {bottom:,} pixels is too long: fewer rows or columns are needed")
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
        """Return a text in lines that fit: broken between words, within one that is too long, or else anywhere."""
        lines: list[str] = []
        for given in text.splitlines():
            line = ""
            for word in given.split():
                parts = [word] if self._fits(word, room) else _PARTS.findall(word)
                for k, part in enumerate(parts):
                    joined = f"{line} {part}" if line and k == 0 else line + part
                    if self._fits(joined, room):
                        line = joined
                        continue
                    lines += [line] if line else []
                    while not self._fits(part, room) and len(part) > 1:
                        some = next((n for n in range(len(part), 1, -1) if self._fits(part[:n], room)), 1)
                        lines.append(part[:some])
                        part = part[some:]
                    line = part
            lines.append(line)
        return lines

    def _fits(self, text: str, room: int) -> bool:
        return self.font.getlength(text) <= room
