"""Some stored pictures of a run rendered once more and compared, so that an engine that mixes them up is found out."""

from __future__ import annotations

import json

import numpy as np

from torchmultiverse.engines import Failure, Frame, likeness
from torchmultiverse.images import rgb
from torchmultiverse.store import DatasetWriter, StoredDataset, open_dataset

MOST_CHECKED = 8


class Recheck:
    """What is rendered once more, and what came of it.

    Where a picture shows something else, so are all rendered again that were proven together with it (of an engine that
    knows no picture ids).

    Args:
        writer: of the dataset.
        seed: of the choice.
    """

    def __init__(self, writer: DatasetWriter, seed: int) -> None:
        self.checked: dict[str, int | None] = {}
        self.untrusted: dict[str, str] = {}
        self._writer = writer
        self._seed = seed
        self._stored: StoredDataset | None = None
        self._rows: dict[int, int] = {}  # design index → row
        self._groups: set[str] = set()  # of pictures that were proven together, one of which shows something else

    def choose(self, count: int) -> list[int]:
        """Return the design indices of some stored scenes, at random."""
        writer = self._writer
        stored = open_dataset(writer.out) if writer.manifest.shards and count else None
        if stored is None:
            return []
        ids: dict[str, int] = {}
        shards = [n for n in writer.numbers if writer.complete(n)]
        rng = np.random.default_rng(self._seed)
        for shard in rng.choice(shards, min(count, len(shards) * writer.shard_rows)) if shards else ():
            index = int(rng.choice(writer.shard_range(int(shard))))
            ids[writer.design[index].scene_id] = index
        self._stored = stored
        self._rows = {ids[scene_id]: row for scene_id, row in stored.find(list(ids)).items()}
        return list(self._rows)

    def more(self) -> list[int]:
        """Return, once, everything that was proven together with a picture that shows something else."""
        if not self._groups:
            return []
        assert self._stored is not None
        groups, self._groups = self._groups, set()
        stored = self._stored.table(["scene_id", "annotations"]).to_pydict()
        rows = {
            scene_id: row
            for row, (scene_id, annotations) in enumerate(zip(stored["scene_id"], stored["annotations"], strict=True))
            if annotations and _group(annotations) in groups and scene_id not in self.checked
        }
        self._rows = {}
        for shard in self._writer.numbers if rows else ():
            for index in self._writer.shard_range(shard):
                if (scene_id := self._writer.design[index].scene_id) in rows:
                    self._rows[index] = rows[scene_id]
        return list(self._rows)

    def compare(self, index: int, answer: Frame | Failure) -> None:
        """Take the second answer to a scene."""
        assert self._stored is not None
        scene_id, row = self._writer.design[index].scene_id, self._rows[index]
        self.checked[scene_id] = None
        if not isinstance(answer, Frame):
            return
        before = np.asarray(rgb(self._stored.image(row)))
        self.checked[scene_id] = int(np.abs(before.astype(int) - answer.array("rgb")).max())
        apart = likeness.largest(likeness.blocks(before), likeness.blocks(answer.array("rgb")))
        if apart > likeness.SAME:
            self.untrusted[scene_id] = f"differs by {apart:.0f} of 255 in the mean of a block of pixels"
            annotations = self._stored.row(row, ["annotations"])["annotations"]
            self._groups |= {group} if (group := _group(annotations)) else set()


def _group(annotations: str) -> str:
    """Return the name of the batch in which a picture was proven; empty where pictures have ids."""
    pairing = json.loads(annotations).get("pairing") or {}
    return str(pairing.get("group", ""))
