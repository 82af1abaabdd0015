"""Contact sheets: many small pictures in rows, with labels, as one picture for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    wide, high = _largest([picture for row in pictures for picture in row if picture is not None], side)
    canvas = _Canvas(_Text(wide))
    left = _GAP + max((canvas.text.width(name, side) + _GAP for name in names), default=0)
    places = [left + k * (wide + _GAP) + (_SPACED * (k // group) if group else 0) for k in range(columns)]
    room = places[-1] + wide - _GAP
    bottom = _GAP + canvas.write(zip(places, heads, strict=False), _GAP // 2, wide)
    for k, (row, images) in enumerate(zip(rows, pictures, strict=True)):
        bottom += canvas.write([(_GAP, title) for title in titles[k : k + 1]], bottom, room)
        canvas.write([(_GAP, name) for name in names[k : k + 1]], bottom, side)
        canvas.paste(zip(places, images, strict=False), bottom, (wide, high))
        labels = canvas.label(zip(places, row, strict=False), bottom + high, wide)
        bottom += high + labels + _GAP
    return canvas.drawn((room + 2 * _GAP, bottom))


def _largest(pictures: Sequence[Image.Image], side: int) -> tuple[int, int]:
    """Return the largest width and height."""
    if not pictures:
        return side, side
    return max(picture.width for picture in pictures), max(picture.height for picture in pictures)


class _Canvas:
    """What a sheet will show, collected before it is known how large the sheet is."""

    def __init__(self, text: _Text) -> None:
        self.text = text
        self._words: list[tuple[tuple[int, int], str, int, Color]] = []
        self._pictures: list[tuple[tuple[int, int], Image.Image]] = []

    def write(self, said: Iterable[tuple[int, str]], y: int, room: int) -> int:
        """Write texts side by side; return how high the highest is."""
        return self.label(((x, Tile(None, words)) for x, words in said), y, room)

    def label(self, tiles: Iterable[tuple[int, Tile]], y: int, room: int) -> int:
        """Write the labels of tiles side by side; return how high the highest is."""
        highest = 0
        for x, tile in tiles:
            self._words.append(((x, y), tile.label, room, tile.color))
            highest = max(highest, self.text.height(tile.label, room))
        return highest

    def paste(self, pictures: Iterable[tuple[int, Image.Image | None]], y: int, size: tuple[int, int]) -> None:
        """Put pictures side by side, each in the middle of its place."""
        for x, picture in pictures:
            if picture is not None:
                middle = (x + (size[0] - picture.width) // 2, y + (size[1] - picture.height) // 2)
                self._pictures.append((middle, picture))

    def drawn(self, size: tuple[int, int]) -> Image.Image:
        if max(size) > _LONGEST:
            raise ImageError(
                f"a sheet of {size[0]:,} × {size[1]:,} pixels is too long: fewer rows or columns are needed"
            )
        sheet = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(sheet)
        for place, picture in self._pictures:
            sheet.paste(picture, place)
        for place, said, room, color in self._words:
            self.text.write(pen, place, said, room, color)
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
