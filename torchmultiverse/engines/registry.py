"""Engines by name: those that come with the package, as data, and those of others.

A package adds an engine with an entry point of the group ``torchmultiverse.engines``: its name is the engine's, and it
points to a class or function that makes an `Engine`, or to an `EngineEntry` that says more::

    [project.entry-points."torchmultiverse.engines"]
    blender = "my_package.engine:BlenderEngine"

Nothing is imported before it is asked for by name, so that one that cannot be imported breaks no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any

from torchmultiverse.engines.contract import Catalogue, Engine
from torchmultiverse.errors import EngineError, nearest, shortened
from torchmultiverse.plugins import load_plugin, origin, plugins

GROUP = "torchmultiverse.engines"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """What is known of an engine before it is made.

    Attributes:
        factory: makes the engine; ``"module:attribute"`` is imported when it does.
        summary: what it is, in one line.
        hosted: whether it runs in a process of its own behind WebRTC, like any other engine, unless it is wanted in the
            calling process.
        assets: whether its factory takes ``assets``, a source of characters and worlds, so that it can draw
            from packs of assets.
        describe: returns the catalogue without an engine being made, from the same ``assets``; named like ``factory``.
    """

    factory: str | Callable[..., Engine]
    summary: str = ""
    hosted: bool = False
    assets: bool = False
    describe: str | Callable[..., Catalogue] | None = None

    def make(self, **arguments: object) -> Engine:
        """Return a new engine.

        Args:
            arguments: of the factory.

        Raises:
            EngineError: it does not work here.
            MissingExtra: a package is needed for it.
        """
        engine: Engine = _imported(self.factory)(**arguments)
        return engine

    def catalogue(self, **arguments: object) -> Catalogue | None:
        """Return what the engine can render, where that is known before it is made; ``None`` where it is not.

        Args:
            arguments: of the factory, as far as the catalogue depends on them.
        """
        if self.describe is None:
            return None
        catalogue: Catalogue = _imported(self.describe)(**arguments)
        return catalogue


def _imported(what: str | Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(what, str):
        return what
    module, _, attribute = what.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), attribute)
    return found


_TRACER = "torchmultiverse.engines.builtin:BuiltinEngine"
_TRACED = "torchmultiverse.engines.builtin:describe"
BUILT_IN: dict[str, EngineEntry] = {
    "builtin": EngineEntry(
        factory=_TRACER,
        summary="the path tracer, in its own process, over WebRTC",
        hosted=True,
        assets=True,
        describe=_TRACED,
    ),
    "inprocess": EngineEntry(
        factory=_TRACER, summary="the same path tracer inside the calling process", assets=True, describe=_TRACED
    ),
    "marker": EngineEntry(
        factory="torchmultiverse.engines.marker:MarkerEngine",
        summary="test cards that show which scene they are; needs no renderer",
        hosted=True,
    ),
}


def engine_names() -> list[str]:
    """Return the names of all engines, those of the package first; imports none."""
    return [*BUILT_IN, *sorted(_others())]


def find_engine(name: str) -> EngineEntry:
    """Return what is known of an engine.

    Raises:
        EngineError: there is none of that name (says the nearest one), or it cannot be imported.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    others = _others()
    if name not in others:
        raise EngineError(f"no engine {shortened(name)}.{nearest(name, engine_names())}")
    point = others[name]
    found = load_plugin(point, "engine", EngineError)
    if isinstance(found, EngineEntry):
        return found
    if not callable(found):
        kind = type(found).__name__
        raise EngineError(f"{origin(point, 'engine')} is a {kind}; a function or class that makes an engine is right")
    return EngineEntry(factory=found, summary=f"of the package {point.dist.name if point.dist else point.module}")


def _others() -> dict[str, EntryPoint]:
    """Return the engines of other packages; a name of ours stays ours."""
    return plugins(GROUP, BUILT_IN)
