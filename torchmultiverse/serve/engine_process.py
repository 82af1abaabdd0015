"""A streamer with an engine, as a process of its own."""

from __future__ import annotations

import argparse
import os

from torchmultiverse.assets import make_engine
from torchmultiverse.engines import find_engine
from torchmultiverse.serve.process import announce, run
from torchmultiverse.serve.streamer import Streamer


async def _main(arguments: argparse.Namespace) -> None:
    import asyncio
    import signal

    find_engine(arguments.engine)  # which says the nearest name, before anything is started
    streamer = Streamer(
        lambda: make_engine(arguments.engine, arguments.assets),
        arguments.signalling,
        streamer_id=arguments.id,
        token=os.environ.get("TORCHMULTIVERSE_TOKEN") or None,
    )
    serving = asyncio.ensure_future(streamer.run(lambda: announce({"engine": arguments.engine})))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        return


def main() -> None:
    """Host an engine and offer it to a signalling server."""
    parser = argparse.ArgumentParser(prog="python -m torchmultiverse.serve.engine_process", description=main.__doc__)
    parser.add_argument("--engine", default="builtin", help="as `torchmultiverse engine list` says")
    parser.add_argument("--signalling", default="ws://127.0.0.1:8888", help="the server's streamer port")
    parser.add_argument("--assets", action="append", default=[], help="a pack to draw from; may be repeated")
    parser.add_argument("--id", default="TorchMultiverse", help="name to register under")
    run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
