"""Pictures on objects, drawn from data: labels, screens, dials, keyboards, emblems."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Color = str
Point = tuple[float, float]


class _Step(BaseModel):
    """One step: what is drawn in ``fill`` ("#rrggbb"), repeated ``count`` times at steps of ``repeat`` (x, y), and
    each row of these ``rows`` times at steps of ``row`` (x, y)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fill: Color
    repeat: Point = (0.0, 0.0)
    count: int = Field(default=1, ge=1, le=200)
    row: Point = (0.0, 0.0)
    rows: int = Field(default=1, ge=1, le=200)


class All(_Step):
    """The whole picture in one colour."""

    draw: Literal["all"]


class Rect(_Step):
    """A rectangle from (left, top) to (right, bottom), corners of radius ``r``; ``line``: only its outline, so wide."""

    draw: Literal["rect"]
    box: tuple[float, float, float, float]
    r: float = 0.0
    line: float = 0.0


class Disc(_Step):
    """An ellipse around ``at`` with radius ``r`` (or two radii); ``line``: only its outline; ``arc`` in degrees (0 to
    the right, clockwise): a sector, or with ``line`` an arc."""

    draw: Literal["disc"]
    at: Point
    r: float | Point
    line: float = 0.0
    arc: tuple[float, float] | None = None


class Line(_Step):
    """A line through points, ``line`` wide, with round joints."""

    draw: Literal["line"]
    points: list[Point] = Field(min_length=2)
    line: float = 4.0


class Polygon(_Step):
    """A filled polygon."""

    draw: Literal["polygon"]
    points: list[Point] = Field(min_length=3)


class Text(_Step):
    """Text whose middle is ``at``, letters ``high`` tall. ``text`` may be a list: one for each repetition, rows after
    one another. ``turn`` degrees, counter-clockwise."""

    draw: Literal["text"]
    text: str | list[str]
    at: Point
    high: float = 40.0
    turn: float = 0.0


class Digits(_Step):
    """A number in seven segments (digits, minus, colon, point, space), its top left ``at``, each digit ``high`` tall
    and 0.55 of that wide."""

    draw: Literal["digits"]
    text: str
    at: Point
    high: float = 60.0


class Noise(_Step):
    """Random blotches of ``size`` pixels in ``fill``, over a share ``amount`` of the picture (or of ``box``)."""

    draw: Literal["noise"]
    size: float = Field(default=8.0, gt=0)
    amount: float = Field(default=0.3, ge=0, le=1)
    box: tuple[float, float, float, float] | None = None
    seed: int = 0


class Fade(_Step):
    """An even change to ``fill`` from one side of ``box`` (by default of the picture) to the other: ``to`` is where
    the colour is full."""

    draw: Literal["fade"]
    box: tuple[float, float, float, float] | None = None
    to: Literal["left", "right", "top", "bottom"] = "bottom"


Step = Annotated[All | Rect | Disc | Line | Polygon | Text | Digits | Noise | Fade, Field(discriminator="draw")]


class Picture(BaseModel):
    """Width and height in pixels, and what is drawn, first to last; y runs down."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: tuple[int, int] = Field(default=(512, 512))
    draw: list[Step] = Field(min_length=1)


_SEGMENTS = {
    "0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgecd", "7": "abc",
    "8": "abcdefg", "9": "abcdfg", "-": "g", " ": "", "E": "afged", "r": "eg", "P": "abfge",
}  # fmt: skip


def image(picture: Picture) -> NDArray[np.uint8]:
    """Return the picture, uint8 (H, W, 3) sRGB, first row on top.

    Raises:
        ValueError: a size or a character that cannot be drawn.
    """
    from PIL import Image, ImageDraw

    width, height = picture.size
    if not (1 <= width <= 4096 and 1 <= height <= 4096):
        raise ValueError(f"a picture of {width} x {height}; 1 to 4096 pixels a side are possible")
    canvas = Image.new("RGB", (width, height), (255, 255, 255))
    for step in picture.draw:
        if isinstance(step, Noise | Fade):
            _blend(canvas, step)
            continue
        pen = ImageDraw.Draw(canvas)
        for j in range(step.rows):
            for i in range(step.count):
                dx, dy = (i * step.repeat[k] + j * step.row[k] for k in (0, 1))
                _draw(canvas, pen, step, dx, dy, j * step.count + i)
    return np.asarray(canvas).copy()


def _draw(canvas: Any, pen: Any, s: Any, dx: float, dy: float, index: int) -> None:
    def moved(points: Any) -> list[tuple[float, float]]:
        return [(x + dx, y + dy) for x, y in points]

    match s:
        case All():
            pen.rectangle([0, 0, *canvas.size], fill=s.fill)
        case Rect():
            box = [v for p in moved([s.box[:2], s.box[2:]]) for v in p]
            style = {"outline": s.fill, "width": round(s.line)} if s.line else {"fill": s.fill}
            pen.rounded_rectangle(box, s.r, **style)
        case Disc():
            rx, ry = s.r if isinstance(s.r, tuple) else (s.r, s.r)
            (x, y) = moved([s.at])[0]
            box = [x - rx, y - ry, x + rx, y + ry]
            if s.arc is not None:
                if s.line:
                    pen.arc(box, *s.arc, fill=s.fill, width=round(s.line))
                else:
                    pen.pieslice(box, *s.arc, fill=s.fill)
            elif s.line:
                pen.ellipse(box, outline=s.fill, width=round(s.line))
            else:
                pen.ellipse(box, fill=s.fill)
        case Line():
            pen.line(moved(s.points), fill=s.fill, width=round(s.line), joint="curve")
        case Polygon():
            pen.polygon(moved(s.points), fill=s.fill)
        case Text():
            text = s.text if isinstance(s.text, str) else s.text[index % len(s.text)]
            _write(canvas, pen, text, moved([s.at])[0], s)
        case Digits():
            _digits(pen, s, dx, dy)


def _write(canvas: Any, pen: Any, text: str, at: tuple[float, float], s: Text) -> None:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(max(s.high * 1.35, 4))
    if not s.turn:
        pen.text(at, text, fill=s.fill, font=font, anchor="mm")
        return
    side = int(s.high * 1.4 * (len(text) + 2))
    stamp = Image.new("L", (side, side))
    ImageDraw.Draw(stamp).text((side / 2, side / 2), text, fill=255, font=font, anchor="mm")
    stamp = stamp.rotate(s.turn, Image.Resampling.BICUBIC)
    canvas.paste(s.fill, (round(at[0] - side / 2), round(at[1] - side / 2)), stamp)


def _digits(pen: Any, s: Digits, dx: float, dy: float) -> None:
    x, y, h = s.at[0] + dx, s.at[1] + dy, s.high
    w, t = 0.5 * h, 0.11 * h
    for character in s.text:
        if character in ":.":
            for place in (0.3, 0.7) if character == ":" else (0.95,):
                pen.rectangle([x, y + h * place - t / 2, x + t, y + h * place + t / 2], fill=s.fill)
            x += 2.2 * t
            continue
        if character not in _SEGMENTS:
            raise ValueError(f"'{character}' cannot be shown in seven segments")
        m = h / 2
        bars = {
            "a": (0, 0, w, t), "b": (w - t, 0, w, m), "c": (w - t, m, w, h), "d": (0, h - t, w, h),
            "e": (0, m, t, h), "f": (0, 0, t, m), "g": (0, m - t / 2, w, m + t / 2),
        }  # fmt: skip
        for segment in _SEGMENTS[character]:
            a, b, c, d = bars[segment]
            g = 0.15 * t
            pen.rectangle([x + a + g, y + b + g, x + c - g, y + d - g], fill=s.fill)
        x += 0.68 * h


def _blend(canvas: Any, s: Noise | Fade) -> None:
    """Draw what is not of one opacity."""
    from PIL import Image, ImageColor
    from scipy.ndimage import zoom

    width, height = canvas.size
    left, top, right, bottom = (round(v) for v in (s.box or (0, 0, width, height)))
    w, h = max(1, right - left), max(1, bottom - top)
    if isinstance(s, Noise):
        coarse = np.random.default_rng(s.seed).random((int(h / s.size) + 3, int(w / s.size) + 3))
        field = zoom(coarse, s.size, order=1)[:h, :w]
        weight = np.clip((np.quantile(field, s.amount) - field) * 12 + 0.5, 0, 1)
    else:
        ramp = np.linspace(0, 1, w if s.to in ("left", "right") else h)
        ramp = ramp[::-1] if s.to in ("left", "top") else ramp
        weight = np.broadcast_to(ramp[None] if s.to in ("left", "right") else ramp[:, None], (h, w))
    stamp = Image.fromarray(np.rint(weight * 255).astype(np.uint8))
    canvas.paste(ImageColor.getrgb(s.fill), (left, top), stamp)
