"""The ``torchmultiverse`` command. Bodies of commands import what they need, so that ``--help`` is immediate."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, TextIO

import typer
from typer.main import get_group

from torchmultiverse.cli import (  # noqa: F401  (each puts its commands into the groups)
    analyze,
    assets,
    assets_build,
    catalogue,
    changes,
    compare,
    concepts,
    corruptions,
    data,
    dejavu,
    doctor,
    domains,
    engine,
    evaluate,
    explore,
    farm,
    ladder,
    leaderboard,
    models,
    power,
    profiles,
    rcdm,
    render,
    specs,
    train,
    training_studies,
    transfer,
    trust,
    units,
)
from torchmultiverse.cli.groups import app, command_of
from torchmultiverse.cli.output import console, fail, say, warn
from torchmultiverse.errors import TorchMultiverseError, missing_extra
from torchmultiverse.progress import SILENT
from torchmultiverse.version import __version__

__all__ = ["app", "main"]

EXTRAS = {"train decoder": "rcdm"}
"""Extras of commands that do not bear their name."""
INTERRUPTED = 130
"""The exit code of what was interrupted."""


def _version(wanted: bool) -> None:
    if wanted:
        say(f"torchmultiverse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Nothing on standard error but errors: no progress, no notes.")
    ] = False,
) -> None:
    SILENT.set(quiet)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """Print a warning of this package as a note for people; those of others as Python does."""
    if category is UserWarning and Path(filename).is_relative_to(Path(__file__).parents[1]):
        warn(f"note: {message}")
    elif not SILENT.get():
        (file or sys.stderr).write(warnings.formatwarning(message, category, filename, lineno, line))


def main() -> None:
    """Run the command line; known errors end with their exit code and one clear message."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # Typer ends so without a word
            console(stderr=True).print("interrupted")
        raise
    except TorchMultiverseError as error:
        fail(str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        command = " ".join(command_of(get_group(app), sys.argv[1:])[0])
        missing = missing_extra(error, command, EXTRAS.get(command))
        if missing is None:
            raise
        fail(str(missing))
        sys.exit(missing.exit_code)
    except KeyboardInterrupt:
        console(stderr=True).print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(141)
