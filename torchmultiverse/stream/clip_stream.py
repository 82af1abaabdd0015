"""Clips rendered while a model trains: the frames of a `RenderStream`, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from torchmultiverse.engines import Engine, Failure, Frame, motion
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import (
    CLIP_PASSES,
    FRAME,
    PASSES,
    Design,
    Scene,
    Spec,
    check_steady,
    clip_starts,
    moving_factors,
)
from torchmultiverse.stream.clips import BETWEEN, Clips, Item, clip_labels, stacked
from torchmultiverse.stream.options import StreamOptions
from torchmultiverse.stream.render_stream import RenderStream
from torchmultiverse.stream.samplers import Uniform

_ANSWER = "_answer"


class UniformClips(Uniform):
    """Every window of frames of a design once an epoch, in an order drawn anew for each; frame by frame.

    Args:
        design: of clips.
        clips: which frames make a window.
        seed: of the order.

    Raises:
        SpecError: the design has no clips, or none that is long enough.
    """

    def __init__(self, design: Design, clips: Clips, seed: int = 0) -> None:
        starts = clip_starts(design)
        if starts is None:
            raise SpecError("a stream of clips needs a design of the kind 'video'")
        self.together = clips.length
        found, there = [], []
        for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            levels, codes = design.part(np.arange(begin, end)).column(FRAME)
            numbers = [int(levels[code]) for code in codes.tolist()]
            there.append(numbers)
            found += [[begin + place for place in window] for window in clips.windows(numbers)]
        self.windows = np.array(found, np.int64).reshape(-1, clips.length)
        if not len(self.windows):
            raise SpecError(clips.lack(there))
        super().__init__(design, seed)

    @override
    def __len__(self) -> int:
        i, n = self._part
        return len(range(i, len(self.windows), n)) * self.together

    @override
    def _of(self, epoch: int) -> Sequence[int]:
        i, n = self._part
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self.windows))[i::n]
        frames: list[int] = self.windows[order].ravel().tolist()
        return frames


class ClipStream(RenderStream):
    """Live clips and labels.

    Items are as those of `ClipDataset`, with ``scene_id``, a list of T. Order, workers, ranks and resuming are as in
    `RenderStream`: a state is one between two clips.

    Args:
        source: a spec of clips, its path or decoded JSON, or a design.
        engine: as for `RenderStream`.
        clips: which frames make an item.
        passes: that come with the pictures; flow and hidden pixels are to the frame beside, and need a stride of 1.
        options: how; see `StreamOptions`. Its ``transform`` is applied to the whole clip (T, 3, H, W).
        settings: fields of `StreamOptions` by name, instead of those in ``options``.

    Raises:
        SpecError: the source has no clips, a pass is unknown or cannot be, or a number is out of range.
    """

    def __init__(
        self,
        source: Spec | Mapping[str, Any] | str | Path | Design,
        engine: str | Callable[[], Engine] | None = None,
        *,
        clips: Clips = Clips(),  # noqa: B008 - frozen
        passes: Sequence[str] = (),
        options: StreamOptions | None = None,
        **settings: Any,
    ) -> None:
        chosen = replace(options or StreamOptions(), **settings)
        if chosen.record is not None:
            raise SpecError("record: a stream of clips is not kept; 'torchmultiverse render' makes a dataset of them")
        for name in passes:
            if name not in PASSES[1:] + CLIP_PASSES:
                raise SpecError(f"unknown pass '{name}'.{nearest(name, PASSES[1:] + CLIP_PASSES)}")
        clips.check_passes(passes)
        super().__init__(source, engine, options=replace(chosen, transform=None))
        check_steady(self.design, moving_factors(self.design))
        self._clip_transform = chosen.transform
        self.clips, self.passes = clips, tuple(passes)
        self._sampler = UniformClips(self.design, clips, chosen.seed)
        needed = [name for name in passes if name in PASSES]
        needed += ["mask"] * any(name in CLIP_PASSES for name in passes) + ["depth"] * any(
            name in BETWEEN for name in passes
        )
        self.options = replace(self.options, passes=tuple(dict.fromkeys(["rgb", *needed])))
        self._annotated = any(name in CLIP_PASSES for name in passes)

    def __len__(self) -> int:
        """Return the number of clips of an epoch, of all readers."""
        return len(self._sampler.windows)  # type: ignore[attr-defined]

    @cached_property
    def _moving(self) -> list[str]:
        return [self.design.table[name].column for name in moving_factors(self.design)]

    @override
    def __iter__(self) -> Iterator[Item]:
        frames: list[Item] = []
        for item in super().__iter__():
            frames.append(item)
            if len(frames) == self.clips.length:
                if all(frames):
                    yield self._clip(frames)
                frames = []

    @override
    def _item(self, scene: Scene, weight: float, answer: Frame | Failure) -> Item | None:
        item = super()._item(scene, weight, answer)
        if item is None:
            return {}  # its clip is left out
        return {**item, _ANSWER: answer} if self.passes else item

    def _clip(self, frames: list[Item]) -> Item:
        answers = [one.pop(_ANSWER) for one in frames] if self.passes else []
        video = torch.stack([one.pop("image") for one in frames])
        item: Item = {"video": video if self._clip_transform is None else self._clip_transform(video)}
        ids, weights = [one.pop("scene_id") for one in frames], [one.pop("weight") for one in frames]
        frame = self.design.table[FRAME].column
        labels = clip_labels(frames, [*self._moving, frame], frame)
        return {
            **item,
            **labels,
            "scene_id": ids,
            "weight": weights[0],
            **self._passes(answers, labels[frame].tolist()),
        }

    def _passes(self, answers: Sequence[Frame], numbers: Sequence[int]) -> Item:
        """Return the passes that are wanted; a frame that is repeated has no flow."""
        found: dict[str, list[Any]] = {name: [] for name in self.passes}
        objects = [answer.info.get("objects", []) for answer in answers]
        tracks = motion.tracks(objects) if "track" in found else []
        for place, answer in enumerate(answers):
            made = motion.between_frames(place, numbers, lambda k: _moment(answers[k]), found)
            for name, of in found.items():
                if name == "track":
                    of.append(motion.track_pass(answer.array("mask"), tracks[place]))
                else:
                    of.append(made[name] if name in made else answer.array(name))
        return {name: stacked(name, of) for name, of in found.items()}


def _moment(frame: Frame) -> motion.Moment:
    info = frame.info
    return motion.Moment(
        frame.array("depth"), frame.array("mask"), info.get("camera", {}), info.get("objects", []),
        motion.world_of(frame.scene.wire),
    )  # fmt: skip
