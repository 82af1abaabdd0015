"""Images for tests of training: squares and bars of three colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.store import ImageList
from torchmultiverse.train import AugmentedViews


def shapes(count: int = 96, size: int = 32) -> ImageList:
    """A square or a bar, of any of three colours, at any place."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for k in range(count):
        form, colour = k % 2, k // 2 % 3
        pixels = rng.integers(90, 110, (size, size, 3), dtype=np.uint8)
        high, wide = ((12, 12), (4, 24))[form]
        y, x = rng.integers(0, size - high), rng.integers(0, size - wide)
        pixels[y : y + high, x : x + wide] = (np.eye(3)[colour] * 200 + 20).astype(np.uint8)
        images.append(Image.fromarray(pixels))
        rows.append({"label": ("square", "bar")[form], "colour": ("red", "green", "blue")[colour]})
    return ImageList(images, rows)


def interrupt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fourth batch of views be interrupted as by the keyboard; all others are made as ever."""
    calls, original = 0, AugmentedViews.__call__

    def stopping(self: AugmentedViews, rows: Any, epoch: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return original(self, rows, epoch)

    monkeypatch.setattr(AugmentedViews, "__call__", stopping)
