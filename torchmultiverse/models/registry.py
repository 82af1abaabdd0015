"""From a model string to a model. A family is a function with a decorator; nothing heavy is imported before it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models.base import Model
from torchmultiverse.models.callables import as_model, module_for

Loader = Callable[[str], Any]
_F = TypeVar("_F", bound=Loader)


@dataclass(frozen=True, slots=True)
class Family:
    """A model family.

    Attributes:
        name: what stands before the colon of a model string.
        load: from what stands behind it to a model.
        form: how a string of this family is written.
    """

    name: str
    load: Loader
    form: str


FAMILIES: dict[str, Family] = {}


def register(name: str, form: str) -> Callable[[_F], _F]:
    """Make a function the loader of a family.

    >>> @register("mine", "mine:NAME")  # doctest: +SKIP
    ... def mine(rest): ...

    Raises:
        ValueError: the name is taken.
    """

    def decorate(function: _F) -> _F:
        if name in FAMILIES:
            raise ValueError(f"the model family '{name}' exists already: {FAMILIES[name].load!r}")
        FAMILIES[name] = Family(name, function, form)
        return function

    return decorate


def load_model(spec: str) -> Model:
    """Return the model that a string names.

    - ``open_clip:ARCH/TAG`` pretrained, ``open_clip:ARCH/random`` untrained, ``open_clip:ARCH//FILE`` a checkpoint
    - ``timm:NAME`` pretrained, ``timm:NAME/random`` untrained, ``timm:NAME//FILE`` a checkpoint
    - ``tiny:FOLDER`` what :func:`~torchmultiverse.models.train` wrote, ``tiny:FOLDER/random`` its untrained twin
    - ``python:MODULE:FUNCTION`` anything importable, see :func:`~torchmultiverse.models.as_model`

    Raises:
        ModelError: no such family, model or weights, or weights that cannot be had here.
        MissingExtra: the family's library is not installed.
    """
    family, colon, rest = spec.partition(":")
    if not colon or not rest:
        forms = "; ".join(f.form for f in FAMILIES.values())
        raise ModelError(f"'{spec}' is no model string; they look like: {forms}")
    if family not in FAMILIES:
        raise ModelError(f"unknown model family '{family}' in '{spec}'.{nearest(family, FAMILIES)}")
    return as_model(FAMILIES[family].load(rest))


@register("open_clip", "open_clip:ARCH/TAG, open_clip:ARCH/random, open_clip:ARCH//FILE")
def _open_clip(rest: str) -> Model:
    from torchmultiverse.models.clip import load_open_clip

    return load_open_clip(rest)


@register("timm", "timm:NAME, timm:NAME/random, timm:NAME//FILE")
def _timm(rest: str) -> Model:
    from torchmultiverse.models.timm_classifier import load_timm

    return load_timm(rest)


@register("tiny", "tiny:FOLDER, tiny:FOLDER/random")
def _tiny(rest: str) -> Model:
    from torchmultiverse.models.tiny import load_tiny

    return load_tiny(rest)


@register("python", "python:MODULE:FUNCTION")
def _python(rest: str) -> Model:
    separator = ":" if ":" in rest else "."
    module_name, _, attribute = rest.rpartition(separator)
    if not module_name:
        raise ModelError(f"'python:{rest}': write python:MODULE:FUNCTION")
    module = module_for(module_name, rest)
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if not name.startswith("_")]
        raise ModelError(f"module '{module_name}' has no '{attribute}'.{nearest(attribute, public)}")
    return as_model(getattr(module, attribute), name=attribute)
