"""From a model string to a model. A family is a function with a decorator; nothing heavy is imported before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models.base import Model
from torchmultiverse.models.callables import as_model, module_for
from torchmultiverse.models.options import apply_options, split_options
from torchmultiverse.models.torch_tools import need

Loader = Callable[[str], Any]
_F = TypeVar("_F", bound=Loader)


@dataclass(frozen=True, slots=True)
class Family:
    """A model family.

    Attributes:
        name: what stands before the colon of a model string.
        load: from what stands behind it to a model.
        form: how a string of this family is written.
        known: the strings of all pretrained models that its library offers, where it can say.
    """

    name: str
    load: Loader
    form: str
    known: Callable[[], list[str]] | None = None


FAMILIES: dict[str, Family] = {}
_ELSEWHERE = {
    "negclip": "NegCLIP is a ViT-B-32 of open_clip (with GELU): open_clip:ViT-B-32//path/to/negclip.pth",
    "blip": "BLIP's model for retrieval is one of transformers: hf:Salesforce/blip-itm-base-coco, or hf:FOLDER",
    "xvlm": "X-VLM is in no library: its checkpoints run with the code of its repository alone. Wrap that in a "
    "function that returns an object with encode_image and encode_text, and name it: python:MODULE:FUNCTION",
}
"""Models of published tables that are no family of their own."""


def register(name: str, form: str, known: Callable[[], list[str]] | None = None) -> Callable[[_F], _F]:
    """Make a function the loader of a family.

    >>> @register("mine", "mine:NAME")  # doctest: +SKIP
    ... def mine(rest): ...

    Raises:
        ValueError: the name is taken.
    """

    def decorate(function: _F) -> _F:
        if name in FAMILIES:
            raise ValueError(f"the model family '{name}' exists already: {FAMILIES[name].load!r}")
        FAMILIES[name] = Family(name, function, form, known)
        return function

    return decorate


def load_model(spec: str) -> Model:
    """Return the model that a string names.

    - ``open_clip:ARCH/TAG`` pretrained, ``open_clip:ARCH/random`` untrained, ``open_clip:ARCH//FILE`` a checkpoint
    - ``timm:NAME`` pretrained, ``timm:NAME/random`` untrained, ``timm:NAME//FILE`` a checkpoint
    - ``torchvision:NAME``, ``torchvision:NAME/WEIGHTS``, ``/random`` and ``//FILE`` likewise
    - ``hf:OWNER/NAME`` or ``hf:FOLDER``: transformers; ``hf:FOLDER/random`` untrained
    - ``hub:OWNER/REPO:NAME`` or ``hub:FOLDER:NAME``: torch.hub
    - ``tiny:FOLDER`` what :func:`~torchmultiverse.train.clip` wrote, ``tiny:FOLDER/random`` its untrained twin
    - ``ssl:FOLDER`` an encoder that ``torchmultiverse train ssl`` trained, ``ssl:FOLDER@EPOCH`` one of its checkpoints
    - ``python:MODULE:FUNCTION`` anything importable, see :func:`~torchmultiverse.models.as_model`
    - what a plug-in registers under the entry point group ``torchmultiverse.models``

    Options follow a question mark: ``timm:resnet50?resize=squash&precision=bfloat16``; see ``options.OPTIONS``.

    Raises:
        ModelError: no such family, model or weights, or weights that cannot be had here.
        MissingExtra: the family's library is not installed.
    """
    bare, options = split_options(spec)
    family, colon, rest = bare.partition(":")
    _plugins()
    published = _ELSEWHERE.get(family.lower().replace("-", "").replace("_", ""))
    if published and family not in FAMILIES:
        raise ModelError(f"'{spec}': {published}")
    if not colon or not rest:
        forms = "; ".join(f.form for f in FAMILIES.values())
        raise ModelError(f"'{spec}' is no model string; they look like: {forms}")
    if family not in FAMILIES:
        raise ModelError(f"unknown model family '{family}' in '{spec}'.{nearest(family, FAMILIES)}")
    model = as_model(FAMILIES[family].load(rest))
    apply_options(model, options, spec)
    return model


def model_strings(specs: Iterable[str]) -> list[str]:
    """Return the model strings that some specifications mean, each once, in order.

    A string with ``*`` means all that its family knows by such a name; ``@FILE`` means the lines of a file, without
    empty ones and without what follows ``#``.

    Raises:
        ModelError: a pattern that nothing fits, of a family that cannot list its models, or no such file.
    """
    found: dict[str, None] = {}
    for spec in specs:
        if spec.startswith("@"):
            try:
                lines = Path(spec[1:]).read_text(encoding="utf-8-sig").splitlines()
            except OSError as error:
                raise ModelError(f"model file {spec[1:]}: {error.strerror or error}") from None
            except UnicodeDecodeError as error:
                raise ModelError(f"model file {spec[1:]}: it is no text in UTF-8: {error}") from None
            found |= dict.fromkeys(model_strings(s for line in lines if (s := line.partition("#")[0].strip())))
        elif "*" in spec.partition("?")[0]:
            bare, mark, options = spec.partition("?")
            fits = [name for name in known_models(bare.partition(":")[0]) if fnmatchcase(name, bare)]
            if not fits:
                raise ModelError(f"no model is called '{bare}'; `torchmultiverse models list` shows what there is")
            found |= dict.fromkeys(name + mark + options for name in fits)
        else:
            found[spec] = None
    return list(found)


def known_models(family: str) -> list[str]:
    """Return the strings of all pretrained models that a library offers.

    Raises:
        ModelError: no such family, or one that cannot list its models.
        MissingExtra: the family's library is not installed.
    """
    _plugins()
    if family not in FAMILIES:
        raise ModelError(f"unknown model family '{family}'.{nearest(family, FAMILIES)}")
    known = FAMILIES[family].known
    if known is None:
        raise ModelError(f"'{family}' cannot list its models; {FAMILIES[family].form}")
    return known()


@cache
def _plugins() -> None:
    """Load what other packages register: each entry point is a function that calls :func:`register`, or its module."""
    for point in entry_points(group="torchmultiverse.models"):
        try:
            loaded = point.load()
            if callable(loaded):
                loaded()
        except Exception as error:
            raise ModelError(f"the plug-in '{point.name}' ({point.value}) fails: {error}") from error


def _of_open_clip() -> list[str]:
    return [f"open_clip:{arch}/{tag}" for arch, tag in need("open_clip", "its models").list_pretrained()]


def _of_timm() -> list[str]:
    return [f"timm:{name}" for name in need("timm", "its models").list_pretrained()]


def _of_torchvision() -> list[str]:
    models = need("torchvision", "its models").models
    names = models.list_models(module=models)
    return [f"torchvision:{name}/{weights.name}" for name in names for weights in models.get_model_weights(name)]


@register("open_clip", "open_clip:ARCH/TAG, open_clip:ARCH/random, open_clip:ARCH//FILE", _of_open_clip)
def _open_clip(rest: str) -> Model:
    from torchmultiverse.models.clip import load_open_clip

    return load_open_clip(rest)


@register("timm", "timm:NAME, timm:NAME/random, timm:NAME//FILE", _of_timm)
def _timm(rest: str) -> Model:
    from torchmultiverse.models.timm_models import load_timm

    return load_timm(rest)


@register(
    "torchvision",
    "torchvision:NAME, torchvision:NAME/WEIGHTS, torchvision:NAME/random, torchvision:NAME//FILE",
    _of_torchvision,
)
def _torchvision(rest: str) -> Model:
    from torchmultiverse.models.torchvision_models import load_torchvision

    return load_torchvision(rest)


@register("hub", "hub:OWNER/REPO:NAME, hub:FOLDER:NAME")
def _hub(rest: str) -> Model:
    from torchmultiverse.models.torchvision_models import load_hub

    return load_hub(rest)


@register("hf", "hf:OWNER/NAME, hf:FOLDER, hf:FOLDER/random")
def _hf(rest: str) -> Model:
    from torchmultiverse.models.transformers_models import load_transformers

    return load_transformers(rest)


@register("tiny", "tiny:FOLDER, tiny:FOLDER/random")
def _tiny(rest: str) -> Model:
    from torchmultiverse.models.tiny import load_tiny

    return load_tiny(rest)


@register("ssl", "ssl:FOLDER, ssl:FOLDER@EPOCH, ssl:FOLDER@random")
def _ssl(rest: str) -> Model:
    from torchmultiverse.models.ssl import load_ssl

    return load_ssl(rest)


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
