"""What the shell completes: names that are known without a network or a renderer, and files where they can stand.

A shell waits for it at each press of a key, so nothing here imports PyTorch or a renderer, or reads a table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from torchmultiverse.resources import data_folder


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> list[str]:
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    shown = [f"{path}/" if path.is_dir() else f"{path}" for path in found if path.is_dir() or path.suffix == suffix]
    return _begin(shown, incomplete)


def _folders(incomplete: str, file: str) -> list[str]:
    """Return the folders that hold a file, and with a slash those on the way to others."""
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return _begin((f"{path}" if (path / file).is_file() else f"{path}/" for path in found), incomplete)


def specs(incomplete: str) -> list[str]:
    """Names of shipped specs, and JSON files."""
    from torchmultiverse.scenes import shipped_specs

    return _begin(shipped_specs(), incomplete) + _files(incomplete, ".json")


def shipped(incomplete: str) -> list[str]:
    """Names of shipped specs."""
    from torchmultiverse.scenes import shipped_specs

    return _begin(shipped_specs(), incomplete)


def protocols(incomplete: str) -> list[str]:
    """Names of protocols, and JSON files."""
    from torchmultiverse.evaluate import protocols as known

    return _begin(["auto", *known()], incomplete) + _files(incomplete, ".json")


def models(incomplete: str) -> list[str]:
    """Families of models, as model strings begin."""
    from torchmultiverse.models import family_forms

    return _begin((f"{name}:" for name in family_forms()), incomplete)


def engines(incomplete: str) -> list[str]:
    """Names of engines, and packaged binaries."""
    from torchmultiverse.engines import engine_names

    return _begin([*engine_names(), "ws://"], incomplete) + _files(incomplete, ".sh")


def packs(incomplete: str) -> list[str]:
    """Names of installed packs."""
    from torchmultiverse.assets import installed

    return _begin([*installed(), "procedural"], incomplete)


def worlds(incomplete: str) -> list[str]:
    """Names of the worlds that come with the package."""
    return _begin(_scene_files("worlds"), incomplete)


def characters(incomplete: str) -> list[str]:
    """Names of the characters that come with the package."""
    return _begin(["blank", *_scene_files("characters")], incomplete)


def _scene_files(kind: str) -> list[str]:
    return sorted(path.stem for path in (data_folder("scenes") / kind).glob("*.json"))


def factors(incomplete: str) -> list[str]:
    """Names of factors, as specs have them."""
    from torchmultiverse.scenes import FACTORS

    return _begin((factor.wire for factor in FACTORS), incomplete)


def columns(incomplete: str) -> list[str]:
    """Names of factors, as datasets have them."""
    from torchmultiverse.scenes import FACTORS

    return _begin((factor.column for factor in FACTORS), incomplete)


def assignments(incomplete: str) -> list[str]:
    """Names of factors with "=", and behind it the worlds and characters."""
    name, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{factor}=" for factor in factors(incomplete)]
    known = {"World_Name": worlds, "Character_Name": characters, "Character2_Name": characters}
    return [f"{name}={level}" for level in known[name](value)] if name in known else []


def datasets(incomplete: str) -> list[str]:
    """Folders of datasets, and those on the way to them."""
    return _folders(incomplete, "manifest.json")


def results(incomplete: str) -> list[str]:
    """Folders of results of an evaluation, and those on the way to them."""
    return _folders(incomplete, "results.json")


def result_models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the models of the results that the command is about."""
    return _begin(_provenance(ctx, "models"), incomplete)


def result_tasks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the tasks of the results that the command is about."""
    return _begin(_provenance(ctx, "tasks"), incomplete)


def _provenance(ctx: typer.Context, kind: str) -> list[str]:
    # What stands before an option that waits for its value is not told apart yet; results come first in every command.
    given = [ctx.params.get("results"), *ctx.args]
    folder = next((Path(str(value)) for value in given if value is not None), Path())
    try:
        facts: dict[str, Any] = json.loads((folder / "provenance.json").read_text("utf-8"))
        return [str(one["name"]) for one in facts[kind]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no results there, or not yet: nothing to offer
