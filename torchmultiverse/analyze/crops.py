"""Parts of pictures that do not show the object: the largest rectangle outside all boxes, or a corner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """In square pixels; 0 where nothing is inside."""
        return max(0, self.width) * max(0, self.height)


def periphery(size: tuple[int, int], boxes: Sequence[Box], min_side: int | None = None) -> Box | None:
    """Return the largest rectangle that touches no box; ``None`` where none has sides of ``min_side`` pixels.

    Exact: every maximal empty rectangle is looked at. Of those whose sides are at least ``min_side``, the one of the
    largest shorter side is taken, then of the largest area, then the one furthest up and left, since pictures are cut
    to squares afterwards and a long strip would be cut away. Boxes that leave the picture are clipped.

    Args:
        size: width and height of the picture in pixels.
        boxes: of all objects.
        min_side: shorter side in pixels; default: a fifth of the picture's shorter side (100 pixels of ImageNet's 500).

    Source: C. Meehan, F. Bordes et al., *Do SSL models have déjà vu?*, NeurIPS 2023, section 3; the published code
    looks at bands between box edges alone and misses rectangles that span several of them.
    """
    width, height = size
    min_side = max(1, round(min(size) / 5)) if min_side is None else min_side
    clipped = [Box(max(0, b.left), max(0, b.top), min(width, b.right), min(height, b.bottom)) for b in boxes]
    clipped = [b for b in clipped if b.width > 0 and b.height > 0]
    # Sides of a maximal empty rectangle lie on sides of boxes or of the picture. For each pair of a top and a bottom,
    # the free columns are what the boxes between them leave.
    tops = sorted({0, *(b.bottom for b in clipped)})
    bottoms = sorted({height, *(b.top for b in clipped)})
    best: tuple[tuple[int, int, int, int], Box] | None = None
    for top in tops:
        for bottom in bottoms:
            if bottom - top < min_side:
                continue
            edge = 0
            between = sorted((b.left, b.right) for b in clipped if b.top < bottom and b.bottom > top)
            for left, right in [*between, (width, width)]:
                if left - edge >= min_side:
                    found = Box(edge, top, left, bottom)
                    key = (min(found.width, found.height), found.area, -found.top, -found.left)
                    if best is None or key > best[0]:
                        best = (key, found)
                edge = max(edge, right)
    return None if best is None else best[1]


def corner(size: tuple[int, int], fraction: float = 0.3) -> Box:
    """Return the lower left corner: this share of the width and of the height, at least one pixel.

    Source: as `periphery`, appendix; for pictures without boxes.
    """
    width, height = size
    wide, high = max(1, round(width * fraction)), max(1, round(height * fraction))
    return Box(0, height - high, wide, height)
