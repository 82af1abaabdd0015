"""Which scene is rendered next, by whom, and how often it may fail."""

from __future__ import annotations

import threading
from collections import deque

from torchmultiverse.spec import Value
from torchmultiverse.store import DatasetWriter


class Schedule:
    """Hands out the design indices of missing rows, one shard after the other.

    A worker stays in the world it is in while scenes of it are left, because a change of world is what costs an
    engine most. Only the shards that are begun are expanded, so a design of millions takes no memory.

    All methods may be called from any thread.

    Args:
        writer: says which rows are missing.
        retries: further attempts for a scene that fails.
    """

    def __init__(self, writer: DatasetWriter, retries: int) -> None:
        self._writer = writer
        self._retries = retries
        self._lock = threading.Lock()
        self._worlds: dict[Value, deque[int]] = {}
        self._place: dict[int, Value] = {}
        self._next = 0
        self._tries: dict[int, int] = {}
        self._open: dict[int, set[int]] = {}
        self._ready: deque[int] = deque()
        self._found = 0
        self._stopped = False

    @property
    def found(self) -> int:
        """Rows of the shards begun so far that were there before this run."""
        return self._found

    @property
    def unfinished(self) -> bool:
        """Whether a shard is begun and not finished."""
        return bool(self._open)

    def take(self, worker: int) -> int | None:
        """Return an index, or ``None`` when nothing is left to begin."""
        with self._lock:
            while not self._worlds and self._next < self._writer.shards and not self._stopped:
                self._begin(self._next)
                self._next += 1
            if self._stopped or not self._worlds:
                return None
            world = self._place.get(worker)
            if world not in self._worlds:
                taken = {w for other, w in self._place.items() if other != worker}
                world = max(self._worlds, key=lambda w: (w not in taken, len(self._worlds[w])))
                self._place[worker] = world
            index = self._worlds[world].popleft()
            if not self._worlds[world]:
                del self._worlds[world]
            return index

    def give_back(self, index: int) -> None:
        """Put back an index that was taken and not tried."""
        with self._lock:
            self._worlds.setdefault(self._world(index), deque()).appendleft(index)

    def retry(self, index: int) -> bool:
        """Put back an index that failed; false when its budget is spent."""
        with self._lock:
            self._tries[index] = self.attempts(index)
            if self._stopped or self._tries[index] > self._retries:
                return False
            self._worlds.setdefault(self._world(index), deque()).append(index)
            return True

    def attempts(self, index: int) -> int:
        """How often an index was tried, this time included."""
        return self._tries.get(index, 0) + 1

    def settle(self, index: int) -> None:
        """Mark an index as stored, or as given up."""
        with self._lock:
            self._tries.pop(index, None)
            shard = index // self._writer.shard_rows
            self._open[shard].discard(index)
            if not self._open[shard]:
                del self._open[shard]
                self._ready.append(shard)

    def ready(self) -> list[int]:
        """Return, once, the shards of which nothing more will come."""
        with self._lock:
            shards = list(self._ready)
            self._ready.clear()
            return shards

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._lock:
            self._stopped = True

    def _begin(self, shard: int) -> None:
        if self._writer.complete(shard):
            return
        missing = self._writer.missing(shard)
        self._found += len(self._writer.shard_range(shard)) - len(missing)
        if not missing:
            self._ready.append(shard)  # an earlier run rendered the last row and did not live to write the shard
            return
        self._open[shard] = set(missing)
        for index in missing:
            self._worlds.setdefault(self._world(index), deque()).append(index)

    def _world(self, index: int) -> Value:
        return self._writer.design.values(index)["World_Name"]
