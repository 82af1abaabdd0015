"""Frames of a clip when all of them are there: their row group, and the passes that are made of neighbouring frames."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import pyarrow as pa

from torchmultiverse.engines import codec, motion
from torchmultiverse.scenes import CLIP, CLIP_PASSES, FRAME, NO_CLIP

GROUP_BYTES = 1 << 30
"""Size above which a clip has several row groups: Arrow's offsets end at twice as much."""


def in_clips(rows: Iterator[pa.Table], column: str, size: int) -> Iterator[list[pa.Table]]:
    """Yield rows, tables of one row each, clip by clip; of pictures that are no frames, so many at a time.

    Args:
        rows: in the order of the design.
        column: with the name of the clip.
        size: most rows of a group of other pictures.
    """
    group: list[pa.Table] = []
    last: Any = None
    for row in rows:
        name = row[column][0].as_py()
        if group and (name != last or (name == NO_CLIP and len(group) == size)):
            yield group
            group = []
        group.append(row)
        last = name
    if group:
        yield group


def in_groups(rows: Sequence[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of a clip as one table, or as several where it is large."""
    group: list[pa.Table] = []
    size = 0
    for row in rows:
        if group and size + row.nbytes > GROUP_BYTES:
            yield pa.concat_tables(group)
            group, size = [], 0
        group.append(row)
        size += row.nbytes
    yield pa.concat_tables(group)


def completed(rows: Sequence[pa.Table], passes: Sequence[str]) -> list[pa.Table]:
    """Return the rows of a clip with the passes that need neighbouring frames.

    Args:
        rows: one-row tables, with the columns ``annotations``, ``scene``, ``mask`` and ``depth``.
        passes: those of `scenes.CLIP_PASSES` that are wanted.
    """
    wanted = [name for name in passes if name in CLIP_PASSES]
    if not wanted:
        return list(rows)
    facts = [_Facts(row) for row in rows]
    if CLIP not in facts[0].scene and len(rows) > 1:  # pictures by themselves, each its own clip
        return [one for row in rows for one in completed([row], passes)]
    numbers = [int(one.scene.get(FRAME, 0)) for one in facts]
    tracks = motion.tracks([one.objects for one in facts])
    moment = lru_cache(maxsize=64)(lambda place: facts[place].moment())

    def filled(place: int) -> pa.Table:
        one = facts[place]
        made: dict[str, Any] = dict(motion.between_frames(place, numbers, moment, wanted))
        if "track" in wanted:
            made["track"] = motion.track_pass(one.decoded("mask"), tracks[place])
        return one.with_passes(made, tracks[place])

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(filled, range(len(rows))))


class _Facts:
    """What a row says of its frame."""

    def __init__(self, row: pa.Table) -> None:
        self._row = row
        self.scene: dict[str, Any] = json.loads(row["scene"][0].as_py())
        self._info: dict[str, Any] = json.loads(row["annotations"][0].as_py())

    @property
    def objects(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._info.get("objects", [])
        return found

    def decoded(self, name: str) -> Any:
        return codec.decode(name, self._row[name][0].as_py()["bytes"])

    def moment(self) -> motion.Moment:
        world, camera = motion.world_of(self.scene), self._info.get("camera", {})
        return motion.Moment(self.decoded("depth"), self.decoded("mask"), camera, self.objects, world)

    def with_passes(self, made: Mapping[str, Any], tracks: Mapping[int, int]) -> pa.Table:
        """Return the row with further passes, and with the number in the clip of each of its objects."""
        (row,) = self._row.to_pylist()
        for name, array in made.items():
            path = f"{row['scene_id']}.{name}.{codec.extension(name, 'png')}"
            row[name] = {"bytes": codec.encode(name, array), "path": path}
        for one in self.objects:
            one["track"] = tracks[int(one["instance"])]
        row["annotations"] = json.dumps(self._info, sort_keys=True, allow_nan=False)
        return pa.Table.from_pylist([row], schema=self._row.schema)
