"""Videos: designs of clips, each a scene of another design whose factors move along paths in time.

A frame is a scene like any other, with an id of its own. Three labels say where it belongs: ``Clip``, a hash of the
clip's scene and paths; ``Frame``, its number from 0; ``Frame_Time``, in seconds from the clip's begin. Labels change no
picture, and an engine is not told them: two frames in which nothing moved are one picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import Design, Explicit, parts_of
from torchmultiverse.scenes.factors import Value
from torchmultiverse.scenes.paths import Path
from torchmultiverse.scenes.scene import canonical_json
from torchmultiverse.scenes.subsets import constrained
from torchmultiverse.scenes.where import Condition

CLIP, FRAME, FRAME_TIME = "Clip", "Frame", "Frame_Time"
"""Wire names of the labels that frames have."""
NO_CLIP = "none"
"""``Clip`` of a picture that is no frame."""
MOST_FRAMES = 10_000
_VIEW = ("Camera_Focal_Length", "Camera_Distance", "Camera_Height", "Camera_Distortion", "Target_Pixels")
_PLACED = {
    "Distractors": "list what stands there as Objects, which stay where they are",
    "Occluder": "only light, weather and what happens in the camera may move with one",
}
"""What is placed by what is seen of it, and what to do instead."""


def frames_of(fps: float, seconds: float) -> int:
    """Return the number of frames of a clip: at 0, 1/fps, 2/fps, … seconds, all before its end.

    Raises:
        SpecError: fewer than 2, or more than 10,000.

    >>> frames_of(12, 2), frames_of(29.97, 1)
    (24, 30)
    """
    count = round(fps * seconds)
    if not 2 <= count <= MOST_FRAMES:
        raise SpecError(
            f"design.fps = {fps:g} and design.seconds = {seconds:g} make {count:,} frames; a clip has 2 to "
            f"{MOST_FRAMES:,}"
        )
    return count


class Video(Design):
    """Clips, frame by frame: all frames of the first, then those of the next.

    Args:
        clips: what the clips are at rest; each scene is one.
        paths: what moves.
        fps: frames per second.
        seconds: length of each clip.

    Raises:
        SpecError: the clips are frames themselves, vary what a path sets, or a sum is out of range.

    >>> from torchmultiverse.scenes import FACTORS, Factorial
    >>> rest = Factorial.of({"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"]})
    >>> video = Video(rest, [Path.of(FACTORS["Camera_Yaw"], [[0, 0], [1, 90]])], fps=4, seconds=1)
    >>> video.count, [scene["Camera_Yaw"] for scene in video][:5], video[5]["Frame"], video[5]["Frame_Time"]
    (8, [0, 22.5, 45, 67.5, 0], 1, 0.25)
    """

    def __init__(self, clips: Design, paths: Sequence[Path], fps: float, seconds: float) -> None:
        self.clips, self.paths, self.fps, self.seconds, self.table = clips, tuple(paths), fps, seconds, clips.table
        self.length = frames_of(fps, seconds)
        self._times = [frame / fps for frame in range(self.length)]
        given = clips.factors
        if CLIP in given:
            raise SpecError("design.clips are frames already; their scenes have to be those of pictures")
        for path in self.paths:
            wire = path.factor.wire
            if wire in given and not path.add:
                raise SpecError(f"{path.place}: design.clips say {wire} as well; leave it out there, or say 'add' here")
            if path.add and not clips.drawn:
                for level in clips.levels().get(wire, [None]):
                    path.at(self._times, level)

    @cached_property
    def _fixed(self) -> dict[str, list[Value]]:
        """What is the same in all clips: the levels along each path that adds nothing, and the labels of time."""
        fixed: dict[str, list[Value]] = {p.factor.wire: p.at(self._times) for p in self.paths if not p.add}
        times = [self.table[FRAME_TIME].canonical(float(f"{time:.9g}")) for time in self._times]
        return {**fixed, FRAME: list(range(self.length)), FRAME_TIME: times}

    @cached_property
    def _motion(self) -> str:
        """What the id of a clip says of how it moves."""
        what = [
            [path.factor.wire, path.times, path.keys, path.interpolation, path.add] for path in self.paths
        ]  # fmt: skip
        return canonical_json([sorted(what, key=lambda one: str(one[0])), self.fps, self.length])

    def _moved(self, values: Mapping[str, Value], frames: Sequence[int]) -> dict[str, list[Value]]:
        """Return the values of what a clip's paths add to it, in some frames."""
        times = [self._times[frame] for frame in frames]
        return {p.factor.wire: p.at(times, values.get(p.factor.wire)) for p in self.paths if p.add}

    def _clip_of(self, values: Mapping[str, Value]) -> str:
        """Return the name of a clip whose scene is this."""
        said = {name: value for name, value in values.items() if value != self.table[name].default}
        return hashlib.sha256(f"{canonical_json(said)}{self._motion}".encode()).hexdigest()[:16]

    @property
    @override
    def count(self) -> int:
        return self.clips.count * self.length

    @property
    @override
    def factors(self) -> list[str]:
        moving = [path.factor.wire for path in self.paths]
        return [*dict.fromkeys([*self.clips.factors, *moving, CLIP, FRAME, FRAME_TIME])]

    @property
    @override
    def drawn(self) -> bool:
        return self.clips.drawn

    @override
    def values(self, index: int) -> dict[str, Value]:
        clip, frame = divmod(index, self.length)
        values = self.clips.values(clip)
        moved = {name: levels[0] for name, levels in self._moved(values, [frame]).items()}
        fixed = {name: levels[frame] for name, levels in self._fixed.items()}
        return {**values, **moved, **fixed, CLIP: self._clip_of(values)}

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        clips, frames = np.divmod(np.asarray(indices, np.int64), self.length)
        shown, place = np.unique(clips, return_inverse=True)
        table = self.clips.part(shown)
        levels: dict[str, list[Value]] = {}
        codes: dict[str, NDArray[np.int64]] = {}
        for name, values in self._fixed.items():
            levels[name], code = _numbered(values)
            codes[name] = code[frames]
        names = [self._clip_of(table.values(clip)) for clip in range(table.count)]
        levels[CLIP], code = _numbered(names)
        codes[CLIP] = code[place]
        for path in self.paths:
            if path.add:
                wire = path.factor.wire
                bases, base = table.column(wire)
                sums = [path.at(self._times, level) for level in bases]
                levels[wire], code = _numbered([value for of in sums for value in of])
                codes[wire] = code[base[place] * self.length + frames] if len(place) else code[:0]
        order = {name: levels[name] for name in self.factors if name in levels}
        return table.take(place).replaced(order, codes)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        rest = self.clips.level_counts()
        counts = {name: {level: n * self.length for level, n in per.items()} for name, per in rest.items()}
        clips = self.clips.count
        for name, values in self._fixed.items():
            counts[name] = _counted(values, clips)
        for path in self.paths:
            if path.add:
                per: dict[Value, int] = {}
                default = path.factor.default
                for base, n in rest.get(path.factor.wire, {default: clips}).items():  # type: ignore[dict-item]
                    for value in path.at(self._times, base):
                        per[value] = per.get(value, 0) + n
                counts[path.factor.wire] = per
        named: dict[Value, int] = {}
        for some in parts_of(self.clips):
            table = self.clips.part(some)
            named.update({self._clip_of(table.values(clip)): self.length for clip in range(table.count)})
        counts[CLIP] = named
        return {name: counts[name] for name in self.factors}

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return constrained_video(self, [conditions])


def constrained_video(
    design: Video, only: Sequence[Sequence[Condition]] = (), exclude: Sequence[Sequence[Condition]] = ()
) -> Design:
    """Return the frames for which one of ``only`` holds, if there are any, and none of ``exclude``.

    Where all that is named stays the same in a clip, clips stay or go as a whole, and none of them is looked at.
    """
    moving = {path.factor.wire for path in design.paths} | {CLIP, FRAME, FRAME_TIME}
    named = {condition.factor for entry in (*only, *exclude) for condition in entry}
    if not (only or exclude):
        return design
    if named & moving:
        return constrained(design, only, exclude)
    return Video(constrained(design.clips, only, exclude), design.paths, design.fps, design.seconds)


def clip_starts(design: Design) -> NDArray[np.int64] | None:
    """Return where the clips of a design begin, int64, and its count at the end; ``None`` of one that has no clips.

    Frames of one clip stand together. A picture that is no frame is by itself.

    >>> from torchmultiverse.scenes import FACTORS, Factorial
    >>> rest = Factorial.of({"World_Name": ["Desert", "Snow"]})
    >>> clip_starts(Video(rest, [Path.of(FACTORS["Camera_Yaw"], [[0, 0], [1, 90]])], fps=3, seconds=1)).tolist()
    [0, 3, 6]
    >>> clip_starts(rest) is None
    True
    """
    if isinstance(design, Video):
        return np.arange(0, design.count + 1, design.length)
    if CLIP not in design.factors:
        return None
    starts = []
    last: Any = None
    for some in parts_of(design):
        levels, codes = design.part(some).column(CLIP)
        names = np.array(levels, object)[codes]
        new = np.ones(len(some), bool)
        new[1:] = (names[1:] != names[:-1]) | (names[1:] == NO_CLIP)
        new[0] = names[0] != last or names[0] == NO_CLIP
        starts.append(some[new])
        last = names[-1]
    return np.concatenate([*starts, np.array([design.count])])


def check_steady(design: Design, moving: Iterable[str]) -> None:
    """Check that nothing jumps from frame to frame: what an engine places by what is seen needs a view that stays.

    Args:
        design: of clips.
        moving: wire names of what moves.

    Raises:
        SpecError: distractors or an occluder would be placed anew in each frame.
    """
    levels = design.levels()
    moved = [name for name in moving if _moves_things(design, name)]
    for name, instead in _PLACED.items():
        default = design.table[name].default
        if moved and (used := [level for level in levels.get(name, ()) if level != default]):
            raise SpecError(
                f"{name} = {used[0]} is placed by what is seen, so that it would jump from frame to frame where "
                f"{moved[0]} moves; {instead}"
            )


def _moves_things(design: Design, name: str) -> bool:
    """Whether a factor moves the camera or what stands there: not light, weather, and what happens in the camera."""
    factor = design.table[name]
    if factor.label or name == "Scene_Light":
        return False
    return name in _VIEW or factor.group in ("", "occlusion", "crowding", "region")


def moving_factors(design: Design) -> list[str]:
    """Return the factors of a design that differ between frames of a clip, by wire name."""
    if isinstance(design, Video):
        return [name for name in design.factors if name in {p.factor.wire for p in design.paths} | {FRAME, FRAME_TIME}]
    found: set[str] = set()
    if (starts := clip_starts(design)) is not None:
        first = np.repeat(starts[:-1], np.diff(starts))
        for some in parts_of(design):
            here = design.part(np.concatenate([some, first[some]]))
            for name in here.factors:
                codes = here.column(name)[1]
                if name not in found and (codes[: len(some)] != codes[len(some) :]).any():
                    found.add(name)
    return [name for name in design.factors if name in found]


def _numbered(values: Sequence[Value]) -> tuple[list[Value], NDArray[np.int64]]:
    """Return the different values, and for each value its place among them."""
    places: dict[Value, int] = {}
    codes = np.array([places.setdefault(value, len(places)) for value in values], np.int64)
    return list(places), codes


def _counted(values: Sequence[Value], times: int) -> dict[Value, int]:
    counts: dict[Value, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + times
    return counts
