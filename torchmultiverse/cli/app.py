"""The ``torchmultiverse`` command. Bodies of commands import what they need, so that ``--help`` is immediate."""

from __future__ import annotations

import sys
from typing import Annotated

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
from torchmultiverse.cli.output import console, fail, say
from torchmultiverse.errors import TorchMultiverseError, missing_extra
from torchmultiverse.progress import SILENT
from torchmultiverse.version import __version__

__all__ = ["app", "main"]

EXTRAS = {"train decoder": "rcdm"}
"""Extras of commands that do not bear their name."""


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


def main() -> None:
    """Run the command line; known errors end with their exit code and one clear message."""
    try:
        app()
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
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
