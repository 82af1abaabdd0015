"""The program: `Game.sh` starts it with the arguments of a packaged Unreal binary."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from stand_in import command_line, settings
from stand_in.command_line import CommandLine, Unusable
from stand_in.core import CoreError, Library, find_library
from stand_in.settings import Settings

log = logging.getLogger("LogInit")
CATALOGUE = Path(__file__).with_name("catalogue.json")


def main() -> int:
    """Run until SIGINT or SIGTERM, and return the exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s: %(levelname)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        chosen = settings.read(os.environ)
        given = command_line.read(sys.argv[1:], chosen.unreal)
        _check_adapter(given, chosen)
        library = Library(find_library())
        asyncio.run(_serve(library, given, chosen))
    except (Unusable, CoreError) as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def config(chosen: Settings) -> dict[str, Any]:
    """Return the config of the bridge."""
    catalogue = json.loads(CATALOGUE.read_text(encoding="utf-8"))
    budget = {"quiet_frames": chosen.quiet, "max_ms": chosen.settle_ms}
    return {"catalogue": {**catalogue, "version": chosen.unreal}, "settle": budget}


def _check_adapter(given: CommandLine, chosen: Settings) -> None:
    adapter = given.adapter or 0
    if chosen.adapters and adapter >= chosen.adapters:
        raise Unusable(f"Vulkan: no adapter {adapter}; there are {chosen.adapters}, counted from 0")
    if chosen.die_at_start:
        log.error("Fatal error: a crash at the start, as was asked for")
        sys.exit(chosen.die_at_start)


async def _serve(library: Library, given: CommandLine, chosen: Settings) -> None:
    try:
        from stand_in.players import PeerConnections
    except ImportError as error:
        raise Unusable(f"the stand-in speaks WebRTC through the package wrtc: pip install wrtc ({error})") from None
    from stand_in.game import Game
    from stand_in.signalling import Signalling

    loop = asyncio.get_running_loop()
    version = command_line.version_number(chosen.unreal)
    signalling = Signalling(given.url, given.streamer_id or "DefaultStreamer", version)

    def said(player: str, text: str | None) -> None:
        game.inbox.put((player, text))

    players = PeerConnections(signalling.send, said, partial(said, text=None), url=given.url, version=version)

    def send(player: str, messages: list[bytes], seconds: float) -> None:
        if seconds:
            loop.call_soon_threadsafe(loop.call_later, seconds, players.send, player, messages)
        else:
            loop.call_soon_threadsafe(players.send, player, messages)

    game = Game(library, config(chosen), chosen, given.size, send=send, waiting=players.waiting)
    log.info("Unreal %s (a stand-in) at %dx%d on adapter %s", chosen.unreal, *given.size, given.adapter)
    game.start()
    work = asyncio.gather(signalling.run(players), _video(players, game, chosen), _watch(game))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        log.info("the end, as was asked for")
    finally:
        work.cancel()
        game.stop()
        await players.leave_all()


async def _watch(game: Any) -> None:
    while game.alive():
        await asyncio.sleep(0.1)
    raise CoreError(f"the game thread ended: {game.broken!r}")


async def _video(players: Any, game: Any, chosen: Settings) -> None:
    while chosen.video_fps:
        await asyncio.sleep(1 / chosen.video_fps)
        if players.watched():
            await players.show(game.level.view(), time.monotonic_ns() // 1000)


if __name__ == "__main__":
    sys.exit(main())
