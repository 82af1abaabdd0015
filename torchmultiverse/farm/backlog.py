"""Which rows of a dataset are missing, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator

from torchmultiverse.store import DatasetWriter


class Backlog:
    """The rows that a run has to make. Only the shards that are begun are expanded, so millions take no memory.

    Args:
        writer: says which rows are missing.
    """

    def __init__(self, writer: DatasetWriter) -> None:
        self.found = 0
        """Rows of the shards begun so far that were there before this run."""
        self._writer = writer
        self._shards: Iterator[int] | None = iter(writer.numbers)
        self._open: dict[int, set[int]] = {}
        self._ready: list[int] = []

    @property
    def finished(self) -> bool:
        """Whether every shard was begun, and of each everything was settled."""
        return self._shards is None and not self._open

    def begin(self) -> list[int]:
        """Begin the next shard that lacks something; return the design indices of its missing rows, none at the end."""
        for shard in self._shards or ():
            if self._writer.complete(shard):
                continue
            missing = self._writer.missing(shard)
            self.found += len(self._writer.shard_range(shard)) - len(missing)
            if missing:
                self._open[shard] = set(missing)
                return missing
            self._ready.append(shard)  # an earlier run rendered the last row and did not live to write the shard
        self._shards = None
        return []

    def settle(self, index: int) -> None:
        """Mark a row as stored, or as given up."""
        shard = self._writer.shard_of(index)
        self._open[shard].discard(index)
        if not self._open[shard]:
            del self._open[shard]
            self._ready.append(shard)

    def ready(self) -> list[int]:
        """Return, once, the shards of which nothing more will come."""
        ready, self._ready = self._ready, []
        return ready
