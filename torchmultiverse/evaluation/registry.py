"""Protocols by name: those that come with the package, as JSON files, and those that other packages register.

Another package registers a protocol as an entry point of the group ``torchmultiverse.protocols``: the name of the
protocol, and where its subclass of `Protocol`, or an instance of one, is. It is loaded when it is asked for by name, so
that one that fails keeps nobody from using the others.
"""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.evaluation.choice import ChoiceProtocol
from torchmultiverse.evaluation.classification import ClassificationProtocol
from torchmultiverse.evaluation.minimal_pairs import MinimalPairsProtocol
from torchmultiverse.evaluation.order import OrderProtocol
from torchmultiverse.evaluation.pairs import PairsProtocol
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.spar import SparProtocol
from torchmultiverse.json_text import read_json
from torchmultiverse.plugins import load_plugin, origin, plugins
from torchmultiverse.resources import data_folder

GROUP = "torchmultiverse.protocols"
KINDS: dict[str, type[Protocol]] = {
    "spar": SparProtocol,
    "classification": ClassificationProtocol,
    "pairs": PairsProtocol,
    "order": OrderProtocol,
    "minimal_pairs": MinimalPairsProtocol,
    "choice": ChoiceProtocol,
}
"""Subclasses by the ``kind`` of a protocol file."""
_TELLING = {
    "orders_caption": "aro_order", "relation_name": "aro_relation", "attribute_pair": "aro_attribution",
    "winoground_collapsed_tag": "winoground",
}  # fmt: skip
"""Columns of imported sets of photographs with captions, and their protocols."""


def protocols() -> list[str]:
    """Return the names of all protocols: of the package, and of others."""
    return sorted({*_shipped(), *_plugins()})


def load_protocol(name: str | Path) -> Protocol:
    """Return a protocol by name, or from a JSON file.

    Raises:
        SpecError: no such protocol, a file that is none, or a plug-in that fails.
    """
    path = Path(name)
    if path.suffix == ".json":
        return _read(path)
    shipped = _shipped()
    if str(name) in shipped:
        return _read(shipped[str(name)])
    if str(name) in (others := _plugins()):
        return _instance(others[str(name)])
    raise SpecError(f"unknown protocol '{name}'.{nearest(str(name), protocols())}")


def choose_protocol(columns: list[str] | tuple[str, ...]) -> Protocol:
    """Return the protocol that fits a dataset's columns: SPAR's, AR4T's, ARO's, Winoground's, or classification."""
    for column, name in _TELLING.items():
        if column in columns:
            return load_protocol(name)
    if "Relation" in columns and "negative_caption" in columns:
        return load_protocol("ar4t")
    return load_protocol("spar" if "character2_name" in columns else "classification")


def minimal_protocol(name: str, split: str) -> MinimalPairsProtocol:
    """Return a protocol of minimal pairs, of one split alone.

    Raises:
        SpecError: no such protocol, or one of another kind.
    """
    found = load_protocol(name)
    if not isinstance(found, MinimalPairsProtocol):
        raise SpecError(f"protocol '{name}' is of the kind '{found.kind}'; one of the kind 'minimal_pairs' is right")
    return found.model_copy(update={"split": split})


def _shipped() -> dict[str, Path]:
    paths = sorted(data_folder("benchmarks").glob("*.json"))
    return {path.stem: path for path in paths if json.loads(path.read_text()).get("kind")}


def _plugins() -> dict[str, EntryPoint]:
    return plugins(GROUP)


def _instance(point: EntryPoint) -> Protocol:
    found = load_plugin(point, "protocol", SpecError)
    if isinstance(found, type) and issubclass(found, Protocol):
        try:
            found = found.model_validate({})
        except ValidationError as error:
            raise SpecError(f"{origin(point, 'protocol')}: {_first(error)}") from None
    if not isinstance(found, Protocol):
        raise SpecError(
            f"{origin(point, 'protocol')} is a {type(found).__name__}; a subclass of Protocol, or an instance of one, "
            "is right"
        )
    return found


def _read(path: Path) -> Protocol:
    try:
        data = read_json(path.read_bytes())
    except OSError as error:
        raise SpecError(f"protocol {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise SpecError(f"protocol {path}: no JSON: {error}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    try:
        return _kind(path, kind).model_validate(data)
    except ValidationError as error:
        raise SpecError(f"protocol {path}: {_first(error)}") from None


def _kind(path: Path, kind: Any) -> type[Protocol]:
    """Return the subclass that reads a kind of protocol file: one of the package, or a plug-in's of that name."""
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    others = _plugins()  # looked for on disk, among all packages
    found = load_plugin(others[kind], "protocol", SpecError) if isinstance(kind, str) and kind in others else None
    if isinstance(found, type) and issubclass(found, Protocol):
        return found
    raise SpecError(f"protocol {path}: kind: unknown kind {kind!r}.{nearest(str(kind), [*KINDS, *others])}")


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
