"""What a stream and its copies in DataLoader workers tell each other.

A worker process has a copy of the stream, made anew for every epoch unless workers persist, and what either side learns
stays on its side. A small database in a temporary folder, which both know from before the copy was made, carries it
over: the copies' states, so that the next copy goes on where the last one ended; the scenes they showed, so that the
training process can name them; and what the training process says of them, so that the samplers of the copies learn.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REMEMBERED = 65_536
"""Scenes that feedback may still name."""
_TABLES = """
create table if not exists reader (name text primary key, state text, last_feedback integer, stats text);
create table if not exists shown (id text primary key, scene text);
create table if not exists feedback (n integer primary key autoincrement, scene text, loss real);
create table if not exists failure (n integer primary key autoincrement, scene text, reason text, attempts integer);
"""
Reader = tuple[int, int]
"""Which of how many readers of a stream: DataLoader workers times ranks."""


class SharedState:
    """A database of one stream and its copies; removed with the stream, by the process that made it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="torchmultiverse-stream-"))
        weakref.finalize(self, _remove, self._folder, os.getpid())

    @property
    def exists(self) -> bool:
        """Whether a copy has begun."""
        return (self._folder / "shared.sqlite").exists()

    def load_state(self, reader: Reader) -> tuple[dict[str, Any] | None, int, dict[str, Any]]:
        """Return what a reader's last copy left: its state, the number of the last feedback it was told, its stats."""
        with self._open() as data:
            name = f"{reader[0]} of {reader[1]}"
            found = data.execute("select state, last_feedback, stats from reader where name = ?", (name,)).fetchone()
        return (json.loads(found[0]), found[1], json.loads(found[2])) if found else (None, 0, {})

    def save_state(self, reader: Reader, state: dict[str, Any], last_feedback: int, stats: dict[str, Any]) -> None:
        """Keep what a reader's next copy goes on from, and how its time was spent so far."""
        with self._open() as data:
            row = (f"{reader[0]} of {reader[1]}", json.dumps(state), last_feedback, json.dumps(stats))
            data.execute("insert or replace into reader (name, state, last_feedback, stats) values (?, ?, ?, ?)", row)

    def add_scenes(self, scenes: Iterable[tuple[str, str]]) -> None:
        """Say which scenes are shown next, as (id, canonical JSON)."""
        with self._open() as data:
            data.executemany("insert or replace into shown (id, scene) values (?, ?)", scenes)
            # The oldest go: a row that is replaced gets a new number.
            data.execute("delete from shown where rowid <= (select max(rowid) from shown) - ?", (REMEMBERED,))

    def scenes(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the canonical JSON of those of these scenes that copies showed."""
        if not self.exists:
            return {}
        with self._open() as data:
            rows = (data.execute("select id, scene from shown where id = ?", (name,)).fetchone() for name in set(ids))
            return dict(row for row in rows if row)

    def add_feedback(self, losses: Iterable[tuple[str, float]]) -> None:
        """Say how hard scenes, as canonical JSON, were."""
        with self._open() as data:
            data.executemany("insert into feedback (scene, loss) values (?, ?)", losses)
            data.execute("delete from feedback where n <= (select max(n) from feedback) - ?", (REMEMBERED,))

    def feedback(self, after: int) -> list[tuple[int, str, float]]:
        """Return what was said since the feedback with a number, as (number, canonical JSON, loss)."""
        with self._open() as data:
            rows = data.execute("select n, scene, loss from feedback where n > ? order by n", (after,)).fetchall()
        return [(number, scene, math.nan if loss is None else loss) for number, scene, loss in rows]  # SQLite: NULL

    def add_failure(self, scene: str, reason: str, attempts: int) -> None:
        """Say that a scene could not be rendered."""
        with self._open() as data:
            data.execute("insert into failure (scene, reason, attempts) values (?, ?, ?)", (scene, reason, attempts))

    def failures(self) -> list[tuple[str, str, int]]:
        """Return the scenes that copies could not render, as (canonical JSON, reason, attempts)."""
        if not self.exists:
            return []
        with self._open() as data:
            return data.execute("select scene, reason, attempts from failure order by n").fetchall()

    def stats(self) -> list[dict[str, Any]]:
        """Return how each reader's time was spent."""
        if not self.exists:
            return []
        with self._open() as data:
            return [json.loads(text) for (text,) in data.execute("select stats from reader")]

    def clear(self) -> None:
        """Forget everything: the stream goes on from another state."""
        (self._folder / "shared.sqlite").unlink(missing_ok=True)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction. A connection must not outlive a fork, and opening costs little."""
        data = sqlite3.connect(self._folder / "shared.sqlite", timeout=60)
        try:
            data.execute("pragma synchronous = off")  # it need not outlive the machine
            data.executescript(_TABLES)
            with data:
                yield data
        finally:
            data.close()


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not in a forked copy
        shutil.rmtree(folder, ignore_errors=True)
