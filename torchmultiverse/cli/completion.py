"""What the shell completes: names that are known without a network or a renderer, and files where they can stand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _files(incomplete: str, suffix: str) -> list[str]:
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    shown = [f"{path}/" if path.is_dir() else f"{path}" for path in found if path.is_dir() or path.suffix == suffix]
    return _begin(shown, incomplete)


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
    """Names of engines, and packaged binaries."""
    from torchmultiverse.engines import engine_names

    return _begin([*engine_names(), "ws://"], incomplete) + _files(incomplete, ".sh")


def packs(incomplete: str) -> list[str]:
    """Names of installed packs."""
    from torchmultiverse.assets import installed

    return _begin([*installed(), "procedural"], incomplete)
