"""The game thread: a frame every few milliseconds, in which the core is told what happened and asked what to do."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from stand_in import drawing
from stand_in.core import Bridge, Command, Library
from stand_in.faults import Faults, Part
from stand_in.level import Level
from stand_in.settings import Settings

log = logging.getLogger("LogStandIn")
Send = Callable[[str, list[bytes], float], None]
"""Sends messages to a player, after so many seconds."""


class Game:
    """Runs in a thread of its own.

    Args:
        library: of the core.
        config: of the bridge.
        settings: see `Settings`.
        size: of the viewport at the start.
        send: called from this thread.
        waiting: returns how many bytes wait for each player.

    Raises:
        CoreError: a config that the core does not take.
    """

    def __init__(
        self,
        library: Library,
        config: dict[str, Any],
        settings: Settings,
        size: tuple[int, int],
        *,
        send: Send,
        waiting: Callable[[], Mapping[str, int]],
    ) -> None:
        self.inbox: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        """A player, and the text of its ``UIInteraction``, or ``None``: it is gone."""
        self.level = Level(library.scene_id, size, settings.load, settings.history)
        self.broken: BaseException | None = None
        self._library = library
        self._bridge = Bridge(library, config)
        self._settings = settings
        self._send = send
        self._waiting = waiting
        self._told: dict[str, int] = {}
        self._faults = Faults(settings)
        self._files: dict[str, list[Part]] = {}
        self._scene = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="GameThread")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the end."""
        self._stop.set()
        self._thread.join()
        self._bridge.close()

    def alive(self) -> bool:
        """Return whether frames are made."""
        return self._thread.is_alive()

    def frame(self) -> None:
        """One frame."""
        while not self.inbox.empty():
            player, text = self.inbox.get()
            if text is None:
                self._bridge.left(player)
                self._files.pop(player, None)
                self._told.pop(player, None)
            else:
                self._bridge.receive(player, text)
        for player, count in self._waiting().items():
            if self._told.get(player, 0) != count:
                self._told[player] = count
                self._bridge.backlog(player, count)
        self._obey()
        self.level.tick()
        self._bridge.frame(self.level.pending, time.monotonic() * 1000)
        self._obey()

    def _run(self) -> None:
        period, due = self._settings.frame_ms / 1000, time.monotonic()
        try:
            while not self._stop.is_set():
                self.frame()
                due = max(due + period, time.monotonic())
                self._stop.wait(due - time.monotonic())
        except BaseException as error:
            log.exception("the game thread ends")
            self.broken = error

    def _obey(self) -> None:
        while (command := self._bridge.next()) is not None:
            getattr(self, f"_{command.name}")(command)

    def _note(self, command: Command) -> None:
        log.info("%s: %s", command.fields["player"], command.fields["text"])

    def _apply(self, command: Command) -> None:
        changes = [(change["factor"], change["value"]) for change in command.fields["changes"]]
        wrong = self._faults.of_level()
        if "wrong_scene" in wrong:
            del changes[-1:]
        self.level.stuck = "unsettled" in wrong
        self.level.apply(changes, _size(command))
        self._bridge.applied(command.fields["request"], self.level.factors)

    def _capture(self, command: Command) -> None:
        start, request = time.perf_counter(), command.fields["request"]
        fields, pad = command.fields, self._settings.pad_kb * 1000
        made = drawing.files(self.level.view(), fields["passes"], fields["format"], pad)
        for name, (extension, data) in made.items():
            self._bridge.captured(request, name, extension, data)
        timings = {"render_ms": round((time.perf_counter() - start) * 1000, 3)}
        self._bridge.captured_all(request, {"timings": timings, "info": {"stand_in": True}})

    def _send_file(self, command: Command) -> None:
        part = Part(command.fields["extension"], command.fields["mime"], command.data)
        self._files.setdefault(command.fields["player"], []).append(part)

    def _respond(self, command: Command) -> None:
        """Send a text, after the files that it is about; here the faults of answers happen."""
        player, text = command.fields["player"], command.fields["text"]
        parts, answer = self._files.pop(player, []), json.loads(text)
        wrong: set[str] = set()
        if answer.get("scene_id"):
            wrong = self._faults.of_answer()
            parts = self._faults.files(parts, wrong)
            before, self._scene = self._scene, answer["scene_id"]
            if "wrong_id" in wrong:
                text = text.replace(answer["scene_id"], before)
        messages = self._library.response(text)
        files = [self._library.file(part.extension, part.mime, part.data) for part in parts]
        if "hang" in wrong:
            self._stop.wait()
        if wrong & {"hang", "silent"}:
            return
        if "cut" in wrong:
            files[0] = [*files[0][:2], files[0][2][: len(files[0][2]) // 2]]
        messages = [message for file in files for message in file] + messages
        if "die" in wrong:
            self._send(player, messages[: len(messages) // 2], 0)
            log.critical("Fatal error: a crash, as was asked for")
            logging.shutdown()
            os.kill(os.getpid(), signal.SIGKILL)
        self._send(player, messages * 2 if "double" in wrong else messages, self._delay(wrong))

    def _delay(self, wrong: set[str]) -> float:
        return self._settings.slow_ms / 1000 if "slow" in wrong else 0


def _size(command: Command) -> tuple[int, int]:
    width, height = command.fields["size"]
    return int(width), int(height)
