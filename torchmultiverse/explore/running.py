"""The explorer of an engine and some models, until a signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from torchmultiverse.connect import open_engine
from torchmultiverse.engines import RenderOptions
from torchmultiverse.errors import SpecError
from torchmultiverse.explore.events import Event, Open
from torchmultiverse.explore.examples import examples_of
from torchmultiverse.explore.finding import load_finding
from torchmultiverse.explore.readers import Reader
from torchmultiverse.explore.server import Explorer
from torchmultiverse.explore.studio import MOST_MODELS, Studio
from torchmultiverse.models import Model, as_models
from torchmultiverse.scenes import Scene


def make_studio(
    tell: Callable[[Event], None],
    engine: str | Path = "builtin",
    models: Sequence[str | Model] = (),
    *,
    token: str | None = None,
    assets: Sequence[str] = (),
    options: RenderOptions = RenderOptions(size=(256, 256), format="raw"),  # noqa: B008 - frozen
    first: Scene | None = None,
    data: str | Path | None = None,
) -> Studio:
    """Return a studio, not opened yet.

    Args:
        tell: takes its events, from a thread of its own.
        engine, token, assets: see `torchmultiverse.connect.open_engine`.
        models: up to four, as model strings or objects.
        options: of the final pictures.
        first: the scene that is shown first.
        data: folder of a rendered dataset, of which some pictures are offered to go on from.

    Raises:
        SpecError: too many models.
        ModelError: one cannot be loaded.
        DatasetError: the dataset cannot be read, or its rows name no scenes.
    """
    if len(models) > MOST_MODELS:
        raise SpecError(f"{len(models)} models: the explorer shows {MOST_MODELS} side by side at most")
    examples = [] if data is None else examples_of(data)
    if first is None and examples:
        first = Scene(examples[0].factors)
    readers = [Reader(model) for model in as_models(list(models))]
    return Studio(lambda: open_engine(engine, token=token, assets=assets), readers, tell, options, first, examples)


def explore_forever(
    make: Callable[[Callable[[Event], None]], Studio],
    *,
    host: str,
    port: int,
    token: str | None = None,
    finding: Path | None = None,
    show: Callable[[str], None] = print,
) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Args:
        make: makes the studio; see `make_studio`.
        host, port, token: see `Explorer`.
        finding: file of one to begin with.
        show: takes the address of the page.

    Raises:
        EngineError: a bind beyond loopback without a token, a port that is taken, or an engine that does not start.
        DatasetError: the finding cannot be read.
    """
    opened = None if finding is None else Open(finding=load_finding(finding).text())

    async def main() -> None:
        explorer = Explorer(make, host, port, token=token)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await explorer.start()
        try:
            show(explorer.url + (f"?token={token}" if token else ""))
            if opened is not None:
                explorer.ask(opened)
            failing, stopping = asyncio.create_task(explorer.failed()), asyncio.create_task(stopped.wait())
            await asyncio.wait([failing, stopping], return_when=asyncio.FIRST_COMPLETED)
            if failing.done() and (failed := failing.result()) is not None:
                raise failed
        finally:
            await explorer.stop()

    asyncio.run(main())
