"""Which scene is rendered next, by whom, and how often it may fail."""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from torchmultiverse.scenes import Value
from torchmultiverse.store import DatasetWriter

LEASE = 180.0
"""Seconds after which a scene that a worker has not answered is handed to another one as well."""
_LONG = 4.0
"""How many times as long as usual a scene must be out before an idle worker tries it too."""


class Schedule:
    """Leases the design indices of missing rows to workers, one shard after the other.

    A worker stays in the world it is in while scenes of it are left, because a change of world is what costs an
    engine most. Only the shards that are begun are expanded, so a design of millions takes no memory.

    A lease ends when its scene comes, is put back, or has been out for too long: then another worker gets the scene
    as well. A worker that has nothing else to do need not wait that long. Whoever comes first is stored.

    All methods may be called from any thread.

    Args:
        writer: says which rows are missing.
        retries: further attempts for a scene that fails.
        lease: seconds.
        check: whether `again` may be called when everything is done; workers wait for it until `dismiss`.
        clock: seconds from any beginning.
    """

    def __init__(
        self,
        writer: DatasetWriter,
        retries: int,
        lease: float = LEASE,
        check: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._retries = retries
        self._lease = lease
        self._clock = clock
        self._changed = threading.Condition()
        self._shards = iter(writer.numbers)
        self._begun = False  # all shards
        self._again: set[int] = set()
        self._check = check
        self._worlds: dict[Value, deque[int]] = {}
        self._place: dict[int, Value] = {}
        self._out: dict[int, dict[int, float]] = {}  # index → worker → since when, the oldest first
        self._held: dict[int, dict[int, float]] = {}  # the same by worker, until that worker answers
        self._took: deque[float] = deque(maxlen=64)
        self._tries: dict[int, int] = {}
        self._open: dict[int, set[int]] = {}
        self._ready: deque[int] = deque()
        self._found = 0
        self._stopped = False
        self.repeated = 0
        """How many scenes were handed to a second worker."""

    @property
    def found(self) -> int:
        """Rows of the shards begun so far that were there before this run."""
        return self._found

    @property
    def finished(self) -> bool:
        """Whether every shard was begun and of each everything came, and of what is wanted again too."""
        with self._changed:
            return self._begun and not self._open and not self._again

    def is_open(self, index: int) -> bool:
        """Whether an index is neither stored nor given up."""
        with self._changed:
            return self._wanted(index)

    def again(self, indices: Iterable[int]) -> None:
        """Hand out, at the end, indices that are stored, to compare; more may follow until `dismiss`."""
        with self._changed:
            wanted = [] if self._stopped else list(indices)
            self._again.update(wanted)
            self._queue(wanted)
            self._changed.notify_all()

    def dismiss(self) -> None:
        """Say that nothing comes after what is handed out."""
        with self._changed:
            self._check = False
            self._changed.notify_all()

    def take(self, worker: int) -> int | None:
        """Return an index, or ``None`` when there is nothing for this worker now."""
        with self._changed:
            if self._stopped:
                return None
            index = self._overdue(worker, self._lease)
            while index is None and not self._worlds and not self._begun:
                self._begin()
            if index is None and self._worlds:
                world = self._place.get(worker)
                if world not in self._worlds:
                    taken = {w for other, w in self._place.items() if other != worker}
                    world = max(self._worlds, key=lambda w: (w not in taken, len(self._worlds[w])))
                    self._place[worker] = world
                index = self._worlds[world].popleft()
                if not self._worlds[world]:
                    del self._worlds[world]
            elif index is None:
                index = self._overdue(worker, self._patience())
            if index is not None:
                now = self._clock()
                self._out.setdefault(index, {})[worker] = now
                self._held.setdefault(worker, {})[index] = now
            return index

    def wait(self, seconds: float) -> bool:
        """Wait a little for something to change; false when nothing more will be handed out."""
        with self._changed:
            if self._stopped or (self._begun and not self._open and not self._again and not self._check):
                return False
            self._changed.wait(seconds)
            return not self._stopped

    def came(self, index: int, worker: int) -> None:
        """Take note that a worker's picture came; `settle` follows when it is stored."""
        with self._changed:
            self._out.pop(index, None)
            since = self._held.get(worker, {}).pop(index, None)
            if since is not None:
                self._took.append(self._clock() - since)

    def give_back(self, index: int, worker: int) -> None:
        """Put back an index that was taken and not tried."""
        with self._changed:
            if self._left_alone(index, worker):
                self._worlds.setdefault(self._world(index), deque()).appendleft(index)
                self._changed.notify_all()

    def retry(self, index: int, worker: int) -> bool:
        """Put back an index that failed; false when its budget is spent and nobody else tries."""
        with self._changed:
            self._tries[index] = self._tries.get(index, 0) + 1
            if not self._left_alone(index, worker):
                return True
            if self._stopped or self._tries[index] > self._retries:
                return False
            self._worlds.setdefault(self._world(index), deque()).append(index)
            self._changed.notify_all()
            return True

    def attempts(self, index: int) -> int:
        """How often an index was tried, this time included."""
        return self._tries.get(index, 0) + 1

    def settle(self, index: int) -> None:
        """Mark an index as stored, or as given up."""
        with self._changed:
            self._tries.pop(index, None)
            self._out.pop(index, None)
            if index in self._again:
                self._again.discard(index)
                self._changed.notify_all()
                return
            shard = index // self._writer.shard_rows
            self._open[shard].discard(index)
            if not self._open[shard]:
                del self._open[shard]
                self._ready.append(shard)
                self._changed.notify_all()

    def ready(self) -> list[int]:
        """Return, once, the shards of which nothing more will come."""
        with self._changed:
            shards = list(self._ready)
            self._ready.clear()
            return shards

    def longest(self) -> dict[int, float]:
        """Return for each worker that has something how long it has had the oldest, seconds."""
        with self._changed:
            now = self._clock()
            return {worker: now - min(held.values()) for worker, held in self._held.items() if held}

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _left_alone(self, index: int, worker: int) -> bool:
        """End a worker's lease; say whether the index is now nobody's and still wanted."""
        self._held.get(worker, {}).pop(index, None)
        leases = self._out.get(index, {})
        leases.pop(worker, None)
        if leases:
            return False
        self._out.pop(index, None)
        return self._wanted(index)

    def _wanted(self, index: int) -> bool:
        return index in self._open.get(index // self._writer.shard_rows, ()) or index in self._again

    def _overdue(self, worker: int, limit: float) -> int | None:
        """Return what one other worker has had for longer than ``limit`` seconds."""
        now = self._clock()
        for index, leases in islice(self._out.items(), 256):
            if len(leases) == 1 and worker not in leases and now - min(leases.values()) > limit:
                self.repeated += 1
                return index
        return None

    def _patience(self) -> float:
        """Return after how many seconds an idle worker tries what another one has."""
        return min(self._lease, max(1.0, _LONG * statistics.median(self._took))) if self._took else self._lease

    def _begin(self) -> None:
        """Begin the next shard."""
        shard = next(self._shards, None)
        if shard is None:
            self._begun = True
            self._changed.notify_all()
            return
        if self._writer.complete(shard):
            return
        missing = self._writer.missing(shard)
        self._found += len(self._writer.shard_range(shard)) - len(missing)
        if not missing:
            self._ready.append(shard)  # an earlier run rendered the last row and did not live to write the shard
            return
        self._open[shard] = set(missing)
        self._queue(missing)

    def _queue(self, indices: Iterable[int]) -> None:
        for index in indices:
            self._worlds.setdefault(self._world(index), deque()).append(index)

    def _world(self, index: int) -> Value:
        return self._writer.design.values(index)["World_Name"]
