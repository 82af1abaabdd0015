"""A packaged Unreal binary with its signalling server: its command line, and whether it does what it should."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from typing_extensions import override

from torchmultiverse.errors import EngineError
from torchmultiverse.serve.child import Child
from torchmultiverse.serve.failures import FailureScan, KnownFailure, advice
from torchmultiverse.serve.launch import Stack
from torchmultiverse.serve.logs import LogFile

_NEVER_REGISTERED = (
    "\n→ it must have Pixel Streaming enabled, and reach 127.0.0.1; UE 5.0 needs generation=legacy; shaders and "
    "worlds of a first start may take minutes: give it more with start_timeout"
)

_FRESH = 1.0
"""Seconds within which the signalling server may still count the connection of the process before this one."""


class UnrealProcess(Stack):
    """A packaged Unreal binary and its signalling server.

    Args:
        script: the binary's start script.
        size: resolution the binary starts with, width and height in pixels.
        adapter: graphics adapter (``-graphicsadapter``), for machines with several GPUs.
        grace: seconds to wait for an early death; readiness itself shows when a client connects.
        arguments: further arguments of the binary.
        environment: variables besides those of this process.
        start_timeout: seconds within which the binary must connect to its signalling server; then its start is awaited,
            and one that takes longer, or that is without a connection for as long, is started again. By default only an
            early death is noticed.
        log_file: gets all that it prints, and what happens to it.
        notify: called with what happens to the engine.
        server: arguments of `signalling_child`, ``generation="legacy"`` for UE 5.0, and ``restarts``.
    """

    def __init__(
        self,
        script: Path,
        *,
        size: tuple[int, int] = (512, 512),
        adapter: int | None = None,
        grace: float = 2.0,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        start_timeout: float | None = None,
        log_file: LogFile | None = None,
        notify: Callable[[str], None] | None = None,
        **server: Any,
    ) -> None:
        super().__init__(notify, **server)
        self.profile_name = ""
        """Of the launch profile that this is an instance of, where it is one."""
        self._script = script
        self._size = size
        self._adapter = adapter
        self._grace = grace
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._start_timeout = start_timeout
        self._log_file = log_file
        self._scan = FailureScan()
        self._registered: float | None = None  # when it was last seen to be
        self._told = self._notify
        self._notify = self._tell

    def command(self, streamer_url: str) -> list[str]:
        """Return the command line: the address in the spelling of every UE version, each ignores the others'.

        A token of the signalling server becomes a part of the address, because Unreal has no other way to show it.
        """
        host, _, port = streamer_url.removeprefix("ws://").rpartition(":")
        if token := self._server_arguments.get("token"):
            streamer_url = f"{streamer_url}/?{urlencode({'token': token})}"
        width, height = self._size
        arguments = [
            str(self._script.resolve()), "-AudioMixer", "-RenderOffScreen", "-NoScreenMessages", "-ForceRes",
            f"-ResX={width}", f"-ResY={height}", f"-PixelStreamingIP={host}", f"-PixelStreamingPort={port}",
            f"-PixelStreamingURL={streamer_url}", f"-PixelStreamingConnectionURL={streamer_url}",
        ]  # fmt: skip
        adapter = [f"-graphicsadapter={self._adapter}"] if self._adapter is not None else []
        return [*arguments, *adapter, *self._arguments]

    @property
    def failures(self) -> list[KnownFailure]:
        """Known failures that the process that runs now, or ran last, has printed."""
        return list(self._scan.found)

    @override
    def stop(self) -> None:
        if self._engine is not None and self._engine.alive():
            self._note("stopped")
        super().stop()
        if self._log_file is not None:
            self._log_file.close()

    @override
    def _engine_child(self, streamer_url: str) -> Child:
        command = self.command(streamer_url)
        self._note(f"started: {' '.join(part.partition('/?token=')[0] for part in command)}")
        self._scan = scan = FailureScan()
        self._registered = None

        def heard(line: str) -> None:
            scan.feed(line)
            if self._log_file is not None:
                self._log_file.write(line)

        return Child(command, environment=self._environment, name=self._script.name, on_line=heard)

    @override
    def _await_engine(self, child: Child) -> None:
        end = time.monotonic() + (self._grace if self._start_timeout is None else self._start_timeout)
        while time.monotonic() < end:
            if not child.alive():
                child.stop()  # so that all that it printed is read
                self._note(f"ended with code {child.process.poll()}")
                raise EngineError(f"{child.name} ended with code {child.process.poll()}:\n{self._words(child)}")
            if self._start_timeout is not None and self.streamers:
                self._registered = time.monotonic()
                self._note("connected to its signalling server")
                return
            time.sleep(0.05)
        if self._start_timeout is not None:
            reason = f"{child.name} runs, but did not connect within {self._start_timeout:g} s"
            self._note(reason)
            raise EngineError(f"{reason}:\n{self._words(child)}{'' if self._scan.found else _NEVER_REGISTERED}")

    @override
    def _illness(self, child: Child) -> str | None:
        now = time.monotonic()
        if self.streamers and (self._registered is not None or now - child.started > _FRESH):
            self._registered = now
        if self._start_timeout is None or now - (self._registered or child.started) <= self._start_timeout:
            return None
        return f"runs, but was without a connection for {self._start_timeout:g} s"

    @override
    def _words(self, child: Child) -> str:
        return f"{child.tail()}{advice(self._scan.found, self.profile_name)}"

    @override
    def _hopeless(self, child: Child) -> bool:
        return self._registered is None and self._scan.permanent

    def _tell(self, text: str) -> None:
        self._note(text)
        self._told(text)

    def _note(self, text: str) -> None:
        if self._log_file is not None:
            first = text.partition("\n")[0]
            self._log_file.write(f"[launcher {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}] {first}")
