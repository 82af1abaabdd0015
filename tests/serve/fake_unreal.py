"""A stand-in for a packaged Unreal binary: takes its arguments, speaks the pug dialect only, trickles its candidates.

It draws test cards. Started by a start script as Unreal is; see `game`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.protocol import signalling
from torchmultiverse.scenes import Scene
from torchmultiverse.serve.player import Player
from torchmultiverse.serve.streamer import Streamer


class Unreal(Streamer):
    """Behaves like UE 5.0 (``generation="legacy"``) or later."""

    def __init__(self, *arguments: Any, generation: str = "modern", **keywords: Any) -> None:
        super().__init__(*arguments, protocol_message=generation == "modern", **keywords)
        self.generation = generation

    @override
    async def _act(self, action: signalling.Action) -> None:
        if self.generation == "legacy" and isinstance(action, signalling.Send):
            return  # UE 5.0 does not say who it is
        await super()._act(action)

    @override
    def _interaction(self, player: Player, text: str) -> None:
        self._pug(player, text)


class Faulty(MarkerEngine):
    """Fails as its environment says.

    ``FAKE_UNREAL_BLACK``: draws nothing, as an engine does whose shaders were not compiled for the card.
    ``FAKE_UNREAL_DIES``: a file; the process that makes it dies, over its fifth picture.
    """

    drawn = 0

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        for answer in super().render(scenes, options):
            self.drawn += 1
            if self.drawn == 5 and (file := os.environ.get("FAKE_UNREAL_DIES")) and not os.path.exists(file):
                Path(file).touch()
                os._exit(9)
            if os.environ.get("FAKE_UNREAL_BLACK") and isinstance(answer, Frame):
                black = {"rgb": np.zeros_like(answer.array())}
                answer = Frame(answer.scene, arrays=black, format=options.format, settle={"settled": True})
            yield answer


def game(folder: Path, extra: str = "") -> Path:
    """Write a start script like that of a packaged binary."""
    script = folder / "Game.sh"
    script.write_text(f'#!/bin/sh\n{extra}\n"{sys.executable}" "{__file__}" "$@"\n')
    script.chmod(0o755)
    return script


if __name__ == "__main__":
    given = dict(argument.removeprefix("-").partition("=")[::2] for argument in sys.argv[1:])
    generation = given.get("Generation", "modern")
    if generation == "legacy":
        url = f"ws://{given['PixelStreamingIP']}:{given['PixelStreamingPort']}"
    else:
        url = given["PixelStreamingConnectionURL"]
    print("LogInit: the fake engine starts", flush=True)
    asyncio.run(Unreal(Faulty, url, generation=generation).run())
