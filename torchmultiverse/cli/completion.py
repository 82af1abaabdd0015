"""What the shell completes: names that are known without a network or a renderer, and files where they can stand.

A shell waits for it at each press of a key, so nothing here imports PyTorch or a renderer, or reads a table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer


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
    from torchmultiverse.evaluation import protocols as known

    return _begin(["auto", *known()], incomplete) + _files(incomplete, ".json")


def models(incomplete: str) -> list[str]:
    """Families of models, as model strings begin."""
    from torchmultiverse.models import family_forms

    return _begin((f"{name}:" for name in family_forms()), incomplete)


def engines(incomplete: str) -> list[str]:
    """Names of engines and of launch profiles, and packaged binaries."""
    from torchmultiverse.engines import engine_names
    from torchmultiverse.profiles import profile_names

    return _begin([*engine_names(), *profile_names(), "ws://"], incomplete) + _files(incomplete, ".sh")


def profiles(incomplete: str) -> list[str]:
    """Names of launch profiles."""
    from torchmultiverse.profiles import profile_names

    return _begin(profile_names(), incomplete)


def profile_fields(incomplete: str) -> list[str]:
    """Fields of launch profiles, as ``NAME=``."""
    from torchmultiverse.profiles import Profile

    return _begin((f"{name}=" for name in Profile.model_fields), incomplete)


def loggers(incomplete: str) -> list[str]:
    """Kinds of loggers of trainings."""
    from torchmultiverse.train import LOGGERS

    return _begin(LOGGERS, incomplete)


def _levels(name: str) -> list[str]:
    """Return the levels of a factor that the built-in engine renders, with the names that stand for some."""
    from torchmultiverse.assets import everything
    from torchmultiverse.connect import engine_catalogue
    from torchmultiverse.errors import AssetError
    from torchmultiverse.scenes import FACTORS, OWN, may_be_own

    try:
        choices = engine_catalogue("builtin", assets=everything()).factors
    except AssetError:  # a pack that cannot be read: whoever draws from it is told
        choices = engine_catalogue("builtin").factors
    factor = FACTORS[name]
    choice = choices.get(factor.wire)
    own = [OWN] if choice is not None and may_be_own(factor) else []
    return [*factor.names, *own, *((choice.levels if choice is not None else None) or [])]


def worlds(incomplete: str) -> list[str]:
    """Names of worlds."""
    return _begin(_levels("World_Name"), incomplete)


def characters(incomplete: str) -> list[str]:
    """Names of characters."""
    return _begin(_levels("Character_Name"), incomplete)


def classes(incomplete: str) -> list[str]:
    """Names of classes of characters that the package's table has, and of their kinds."""
    from torchmultiverse.scenes import class_table

    return _begin(["animals", "objects", "own", *dict.fromkeys(one.name for one in class_table())], incomplete)


def values(incomplete: str) -> list[str]:
    """Factors of a scene as ``NAME=``, and the levels of the one that is named."""
    from torchmultiverse.scenes import FACTORS

    name, given, level = incomplete.partition("=")
    if not given:
        return _begin((f"{factor.wire}=" for factor in FACTORS if not factor.label), incomplete)
    return [f"{name}={found}" for found in _begin(_levels(name), level)] if name in FACTORS else []


def columns(incomplete: str) -> list[str]:
    """Columns of datasets that hold factors."""
    from torchmultiverse.scenes import FACTORS

    return _begin((factor.column for factor in FACTORS), incomplete)


def packs(incomplete: str) -> list[str]:
    """Names of installed packs."""
    from torchmultiverse.assets import installed

    return _begin([*installed(), "procedural"], incomplete)


def licences(incomplete: str) -> list[str]:
    """Licences of free assets."""
    from torchmultiverse.assets import LICENCES

    return _begin(LICENCES.values(), incomplete)


def object_classes(incomplete: str) -> list[str]:
    """The published classes of objects."""
    from torchmultiverse.scenes import class_table

    return _begin((one.name for one in class_table() if one.kind == "object"), incomplete)


def factors(incomplete: str) -> list[str]:
    """Names of factors, as specs have them."""
    from torchmultiverse.scenes import FACTORS

    return _begin((factor.wire for factor in FACTORS), incomplete)


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
