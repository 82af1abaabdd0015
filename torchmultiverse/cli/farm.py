"""Commands for runs that take long or many machines."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from torchmultiverse.cli.groups import examples, farm_group
from torchmultiverse.cli.options import tabular
from torchmultiverse.cli.output import console, for_people, print_table, say
from torchmultiverse.errors import DatasetError
from torchmultiverse.json_text import read_json
from torchmultiverse.tables import Table, number, text

if TYPE_CHECKING:
    from torchmultiverse.store import Manifest

_WORKERS = (
    text("worker"), text("state"), text("world"), number("images"),
    number("waiting_seconds", "waiting, s", ".0f", "seconds"),
    number("memory_gb", "memory, GB", ".1f", "gigabytes, 1e9 bytes"), number("restarts"),
)  # fmt: skip
_OLD = 15.0
"""Seconds after which a status that says 'running' is doubted."""


@farm_group.command(
    epilog=examples("torchmultiverse farm status data/spar", "torchmultiverse farm status data/spar --watch")
)
@tabular(_WORKERS)
def status(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset that is being made, or was.")],
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second until the run ends.")] = False,
) -> None:
    """Show how a run goes: its workers, pictures per second, failures and time left."""
    if not watch:
        lines, workers, _ = _page(dataset)
        for line in lines:
            say(line)
        print_table(workers)
        return
    if not for_people():
        raise typer.BadParameter("it is for people; another program asks again instead", param_hint="--watch")
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            lines, workers, running = _page(dataset)
            live.update(Group(*map(Text, lines), workers), refresh=True)
            if not running:
                return
            time.sleep(1)


@farm_group.command(
    epilog=examples(
        "torchmultiverse render spar --out data/spar --part 0/2",
        "torchmultiverse render spar --out data/spar --part 1/2",
        "torchmultiverse farm join data/spar",
    )
)
def join(dataset: Annotated[Path, typer.Argument(help="Folder with the parts of a dataset.")]) -> None:
    """Put the parts of a dataset together."""
    from torchmultiverse.farm import join as put_together

    say(f"{put_together(dataset):,} pictures in {dataset}")


def _page(dataset: Path) -> tuple[list[str], Table, bool]:
    from torchmultiverse.farm import last_log_line, part_folders
    from torchmultiverse.store import Manifest

    parts = part_folders(dataset)
    found = {
        folder: state for folder in (dataset, *parts.values()) if (state := _status(folder / "status.json")) is not None
    }
    shown = Table(_WORKERS)
    lines = []
    for folder, state in found.items():
        name = "" if folder == dataset else f"{folder.name} "
        lines.append(f"{name}{_line(state)}")
        for w in state["workers"]:
            memory = w["memory"] / 1e9 if w["memory"] else None
            worker = f"{name}{w['number']}"
            shown.add(worker, w["state"], w["world"], w["images"], w["waiting"] or None, memory, w["restarts"])
    for n in sorted({n for _, n in parts}):
        begun = {i for i, of in parts if of == n and parts[i, of] in found}
        if idle := [str(i) for i in range(n) if i not in begun]:
            more = f", … ({len(idle)} in all)" if len(idle) > 8 else ""
            lines.append(f"not begun of {n} parts: {', '.join(idle[:8])}{more}")
    if not parts and not found and (manifest := Manifest.load(dataset)).known:
        lines.append(_finished(manifest))
    elif words := last_log_line(dataset):
        lines.append(f"the joining job: {words}")
    if not lines:
        raise DatasetError(
            f"{dataset}: no run was seen there; it begins with: torchmultiverse render SPEC --out {dataset}"
        )
    return lines, shown, any(map(_running, found.values()))


def _finished(manifest: Manifest) -> str:
    """Say what is there where no run left its status: parts were joined, or the dataset came from elsewhere."""
    rows = manifest.rows
    images = rows if manifest.images is None else manifest.images
    text = f"{rows:,} of {images:,} pictures, {len(manifest.failures)} failed"
    return f"{text}, done" if manifest.complete else f"{text}; nothing runs: the same command continues it"


def _line(state: dict[str, Any]) -> str:
    made = state["found"] + state["rendered"]
    text = f"{made:,} of {state['images']:,} pictures, {state['rate']:.2f} a second, {state['failed']} failed"
    if state["done"]:
        return f"{text}, done"
    if not _running(state):
        return f"{text}; nothing runs: the same command continues it"
    left = state["seconds_left"]
    return f"{text}, " + ("no picture yet" if left is None else f"{left / 60:.0f} min left")


def _running(state: dict[str, Any]) -> bool:
    if state["done"]:
        return False
    if time.time() - state["updated"] < _OLD:
        return True
    if state.get("host") != platform.node():
        return False  # a process of that number here is another one
    try:
        os.kill(state["pid"], 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _status(path: Path) -> dict[str, Any] | None:
    try:
        return _migrated(read_json(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DatasetError(f"{path}: no status: {error}") from None


def _migrated(state: dict[str, Any]) -> dict[str, Any]:
    """Return the status that an older version wrote as this one writes it."""
    from torchmultiverse.documents import renamed

    workers = [renamed(worker, pictures="images", waits="waiting") for worker in state["workers"]]
    return renamed(state, pictures="images") | {"workers": workers}
