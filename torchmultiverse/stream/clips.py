"""Clips of a stored dataset as a torch map-style dataset: windows of frames, (T, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from torchmultiverse.engines import codec, motion
from torchmultiverse.errors import DatasetError, SpecError, nearest
from torchmultiverse.images import rgb
from torchmultiverse.scenes import CLIP, CLIP_PASSES, FRAME
from torchmultiverse.store import clip_rows, open_dataset, table_of

Item = dict[str, Any]
BETWEEN = tuple(name for name in CLIP_PASSES if name != "track")
"""Passes from a frame to the one beside it."""


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Which frames of a clip make an item.

    Attributes:
        length: T, frames of an item.
        stride: from each of its frames to the next.
        step: frames from the begin of an item to that of the next one in the same clip; by default ``length * stride``,
            so that no frame is in two.
        rest: what becomes of the end of a clip that is shorter than an item: left out (``drop``), or filled by
            repeating the last frame (``pad``; ``valid`` says which frames are none).

    Raises:
        SpecError: a number is out of range.

    >>> Clips(length=3, stride=2).windows(range(12))
    [[0, 2, 4], [6, 8, 10]]
    >>> Clips(length=4, step=4, rest="pad").windows(range(6))
    [[0, 1, 2, 3], [4, 5, 5, 5]]
    """

    length: int = 16
    stride: int = 1
    step: int | None = None
    rest: Literal["drop", "pad"] = "drop"

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1 or (self.step is not None and self.step < 1):
            raise SpecError(f"length = {self.length}, stride = {self.stride}, step = {self.step}: numbers from 1")
        if self.rest not in ("drop", "pad"):
            raise SpecError(f"rest = {self.rest!r}: 'drop' or 'pad'")

    def windows(self, numbers: Sequence[int]) -> list[list[int]]:
        """Return the items of a clip: of each the places of its frames among those that are there.

        An item that would have a frame that is missing in the middle of its clip is left out.

        Args:
            numbers: of the frames that are there, ascending.
        """
        if not len(numbers):
            return []
        at = {int(number): place for place, number in enumerate(numbers)}
        first, last = int(numbers[0]), int(numbers[-1])
        found = []
        for begin in range(first, last + 1, self.step or self.length * self.stride):
            wanted = [begin + k * self.stride for k in range(self.length)]
            if wanted[-1] > last:
                if self.rest == "drop":
                    break
                inside = [number for number in wanted if number <= last]
                wanted = inside + [inside[-1]] * (self.length - len(inside))
            if all(number in at for number in wanted):
                found.append([at[number] for number in wanted])
        return found

    def check_passes(self, names: Iterable[str]) -> None:
        """Check that flow is to a frame of the same item.

        Raises:
            SpecError: flow or hidden pixels with a stride above 1: they would be to frames that the item leaves out.
        """
        if self.stride > 1 and (between := [name for name in names if name in BETWEEN]):
            raise SpecError(
                f"'{between[0]}' is between neighbouring frames, which a stride of {self.stride} leaves out: use "
                f"stride=1, or render the clips at 1/{self.stride} of their fps"
            )

    def lack(self, clips: Iterable[Sequence[int]]) -> str:
        """Return why no clip has an item.

        Args:
            clips: of each the numbers of the frames that are there, ascending.
        """
        of = [[int(number) for number in numbers] for numbers in clips]
        said = f"no clip has {self.length} frames, {self.stride} apart; the longest has {max(map(len, of), default=0)}"
        gaps = [sorted(set(range(numbers[-1])) - set(numbers)) for numbers in of if numbers]
        if not (missing := [numbers for numbers in gaps if numbers]):
            return said
        count, several = sum(map(len, missing)), len(missing) != 1
        said += (
            f", and frames are missing in {len(missing)} clip{'s' * several}, {count} in all, such as number "
            f"{missing[0][0]} (a filter or a failure left them out)"
        )
        if any(replace(self, step=1).windows(numbers) for numbers in of):
            return f"{said}; with step=1 there are items between them"
        most = max(self._longest_run(numbers) for numbers in of)
        return f"{said}; between them a length of up to {most} is possible"

    def _longest_run(self, numbers: Sequence[int]) -> int:
        """Return the most frames, one stride apart, of which none is missing."""
        runs: dict[int, int] = {}
        for number in numbers:
            runs[number] = runs.get(number - self.stride, 0) + 1
        return max(runs.values(), default=0)


class ClipDataset(torch.utils.data.Dataset[Item]):
    """Clips and labels for a ``torch.utils.data.DataLoader`` (any number of workers; resumable as any map-style one).

    Items are ``{"video": float32 (T, 3, H, W) in 0..1, or what ``transform`` makes of it, "clip": its name, "frame":
    int64 (T,), "frame_time": float32 (T,), "valid": bool (T,), column: …}``. A label that is the same in all of every
    clip is one value; one that moves in any is an array (T,), of text a list. Passes are arrays of one frame after the
    other: ``mask``, ``class``, ``track`` and ``hidden_…`` (T, H, W), ``depth`` float32 (T, H, W), ``normals`` float32
    (T, 3, H, W), ``flow_…`` float32 (T, 2, H, W), in pixels and to the frame beside it in the dataset, so that flow
    and hidden pixels need a stride of 1; a frame that is repeated has none (NaN, 3). Lists of objects are their JSON
    text.

    Args:
        path: folder of a dataset of clips.
        clips: which frames make an item.
        columns: labels and passes; by default all factors, and ``split``.
        transform: applied to the whole clip (T, 3, H, W), so that a random crop is the same in all of its frames.
        where: a filter, e.g. ``"split = test"``.

    Raises:
        DatasetError: no dataset of clips there, an unknown column, or no clip that is long enough.
        SpecError: flow or hidden pixels with a stride above 1.
    """

    def __init__(
        self,
        path: str | Path,
        clips: Clips = Clips(),
        columns: Sequence[str] | None = None,
        transform: Callable[[torch.Tensor], Any] | None = None,
        where: str | None = None,
    ) -> None:
        stored = open_dataset(path)
        self.stored = stored.where(where) if where else stored
        self.clips, self.transform = clips, transform
        rows = clip_rows(self.stored)
        if not rows:
            raise DatasetError(f"{path} has no clips: a spec with a design of the kind 'video' makes them")
        table = table_of(self.stored.manifest)
        self._clip, self._frame = table[CLIP].column, table[FRAME].column
        labels = [*self.stored.factors, *(["split"] if "split" in self.stored.columns else [])]
        wanted = list(labels if columns is None else columns)
        if unknown := [name for name in wanted if name not in self.stored.columns]:
            raise DatasetError(f"{path} has no column '{unknown[0]}'.{nearest(unknown[0], self.stored.columns)}")
        clips.check_passes(wanted)
        pictures = self.stored.image_columns
        self.passes = [name for name in wanted if name in pictures and name != "image"]
        named = dict.fromkeys([self._clip, self._frame, *(name for name in wanted if name not in pictures)])
        self._labels = self.stored.labels(list(named)).combine_chunks()  # lists of objects as text
        numbers = self._labels[self._frame].to_numpy()
        self._windows = np.array(
            [[of[k] for k in places] for of in rows.values() for places in clips.windows(numbers[of])], np.int64
        ).reshape(-1, clips.length)
        if not len(self._windows):
            raise DatasetError(f"{path}: {clips.lack([numbers[of].tolist() for of in rows.values()])}")
        self._rows = list(rows.values())

    def __len__(self) -> int:
        return len(self._windows)

    @cached_property
    def moving(self) -> list[str]:
        """Labels that differ between frames of some clip, and so are arrays (T,)."""
        found = []
        for name in self._labels.column_names:
            values = self._labels[name].combine_chunks().dictionary_encode().indices
            codes = values.fill_null(-1).to_numpy(zero_copy_only=False)
            if name == self._frame or any((codes[of] != codes[of[0]]).any() for of in self._rows):
                found.append(name)
        return found

    def __getitem__(self, index: int) -> Item:
        rows = self._windows[index].tolist()
        decoded = {row: np.asarray(rgb(self.stored.image(row))) for row in dict.fromkeys(rows)}
        labels = self._labels.take(rows).to_pylist()
        item = clip_item(np.stack([decoded[row] for row in rows]), self.transform)
        item |= clip_labels(labels, self.moving, self._frame)
        for name in self.passes:
            of = {row: codec.decode(name, self.stored.image_bytes(row, name)) for row in decoded}
            item[name] = stacked(name, [of[row] for row in rows])
            if name in BETWEEN:
                item[name][~item["valid"]] = np.nan if name.startswith("flow") else motion.UNDEFINED
        return item


def clip_item(pictures: NDArray[np.uint8], transform: Callable[[torch.Tensor], Any] | None) -> Item:
    """Return what pictures (T, H, W, 3) are as ``video``."""
    video = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float().div_(255)
    return {"video": video if transform is None else transform(video)}


def clip_labels(labels: Sequence[Mapping[str, Any]], moving: Sequence[str], frame: str) -> Item:
    """Return the labels of a clip: of those that move an array (T,), of text a list; and which frames are repeated.

    Args:
        labels: of each frame.
        moving: which are arrays.
        frame: column with the number of the frame.
    """
    item: Item = {}
    for name in labels[0]:
        values = [np.nan if row[name] is None else row[name] for row in labels]
        if name not in moving:
            item[name] = values[0]
        elif isinstance(values[0], str):
            item[name] = values
        else:
            whole = all(isinstance(value, int) for value in values)
            item[name] = np.array(values, np.int64 if whole and name == frame else np.float32)
    numbers = item[frame]
    item["valid"] = np.concatenate([[True], numbers[1:] > numbers[:-1]])
    return item


def stacked(name: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return a pass of a clip, channels before height and width; of types that torch calculates with."""
    whole = np.stack(arrays)
    if whole.ndim == 4:
        whole = np.ascontiguousarray(np.moveaxis(whole, -1, 1))
    return whole.astype(np.int32) if whole.dtype == np.uint16 or name in ("class", "track") else whole
