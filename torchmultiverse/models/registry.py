"""From a model string to a model: families by name, those that come with the package as data, and those of others.

A package adds a family with an entry point of the group ``torchmultiverse.models``: its name is the family's, and it
points to a function from what stands behind the colon to a model, or to a `ModelFamily` that says more::

    [project.entry-points."torchmultiverse.models"]
    colours = "my_package.colours:load"

Nothing is imported before a string of its family is loaded, so that one that cannot be imported breaks no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar

from torchmultiverse.errors import ModelError, TorchMultiverseError, nearest
from torchmultiverse.models.callables import is_factory, module_for, wrapped
from torchmultiverse.models.contract import Model
from torchmultiverse.models.options import apply_options, split_alias, split_options
from torchmultiverse.models.preprocess import Preprocess
from torchmultiverse.models.torch_tools import need
from torchmultiverse.plugins import load_plugin, origin, plugins

GROUP = "torchmultiverse.models"
Loader = Callable[[str], Any]
_F = TypeVar("_F", bound=Loader)


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """What is known of a model family before one of its models is loaded.

    Attributes:
        load: from what stands behind the colon of a model string to a model, or to anything that `as_model` makes one;
            ``"module:function"`` is imported when it does.
        form: how a string of this family is written.
        known: the strings of all pretrained models that its library offers, where it can say.
    """

    load: str | Loader
    form: str
    known: Callable[[], list[str]] | None = None

    def __call__(self, rest: str) -> Model:
        """Return the model of what stands behind the colon."""
        load = self.load
        if isinstance(load, str):
            module, _, attribute = load.partition(":")
            load = getattr(import_module(module), attribute)
        return as_model(load(rest))


def _of_open_clip() -> list[str]:
    return [f"open_clip:{arch}/{tag}" for arch, tag in need("open_clip", "its models").list_pretrained()]


def _of_timm() -> list[str]:
    return [f"timm:{name}" for name in need("timm", "its models").list_pretrained()]


def _of_torchvision() -> list[str]:
    models = need("torchvision", "its models").models
    names = models.list_models(module=models)
    return [f"torchvision:{name}/{weights.name}" for name in names for weights in models.get_model_weights(name)]


def _python(rest: str) -> Any:
    separator = ":" if ":" in rest else "."
    module_name, _, attribute = rest.rpartition(separator)
    if not module_name:
        raise ModelError(f"'python:{rest}': write python:MODULE:FUNCTION")
    module = module_for(module_name, rest)
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if not name.startswith("_")]
        raise ModelError(f"module '{module_name}' has no '{attribute}'.{nearest(attribute, public)}")
    return as_model(getattr(module, attribute), name=attribute)


_HERE = "torchmultiverse.models"
FAMILIES: dict[str, ModelFamily] = {
    "open_clip": ModelFamily(
        f"{_HERE}.clip:load_open_clip", "open_clip:ARCH/TAG, open_clip:ARCH/random, open_clip:ARCH//FILE", _of_open_clip
    ),
    "timm": ModelFamily(f"{_HERE}.timm_models:load_timm", "timm:NAME, timm:NAME/random, timm:NAME//FILE", _of_timm),
    "torchvision": ModelFamily(
        f"{_HERE}.torchvision_models:load_torchvision",
        "torchvision:NAME, torchvision:NAME/WEIGHTS, torchvision:NAME/random, torchvision:NAME//FILE",
        _of_torchvision,
    ),
    "hub": ModelFamily(f"{_HERE}.torchvision_models:load_hub", "hub:OWNER/REPO:NAME, hub:FOLDER:NAME"),
    "hf": ModelFamily(f"{_HERE}.transformers_models:load_transformers", "hf:OWNER/NAME, hf:FOLDER, hf:FOLDER/random"),
    "tiny": ModelFamily(f"{_HERE}.tiny:load_tiny", "tiny:FOLDER, tiny:FOLDER/random"),
    "ssl": ModelFamily(f"{_HERE}.ssl:load_ssl", "ssl:FOLDER, ssl:FOLDER@EPOCH, ssl:FOLDER@random"),
    "blind": ModelFamily(f"{_HERE}.blind:load_blind", "blind:MODEL, shown a grey picture in place of each"),
    "python": ModelFamily(_python, "python:MODULE:FUNCTION"),
}
"""Families that come with the package, and those that `register` added in this process."""

_ELSEWHERE = {
    "negclip": "NegCLIP is a ViT-B-32 of open_clip (with GELU): open_clip:ViT-B-32//path/to/negclip.pth",
    "blip": "BLIP's model for retrieval is one of transformers: hf:Salesforce/blip-itm-base-coco, or hf:FOLDER",
    "xvlm": "X-VLM is in no library: its checkpoints run with the code of its repository alone. Wrap that in a "
    "function that returns an object with encode_image and encode_text, and name it: python:MODULE:FUNCTION",
}
"""Models of published tables that are no family of their own."""


def register(name: str, form: str, known: Callable[[], list[str]] | None = None) -> Callable[[_F], _F]:
    """Make a function the loader of a family in this process; a package has an entry point instead.

    >>> @register("mine", "mine:NAME")  # doctest: +SKIP
    ... def mine(rest): ...

    Raises:
        ValueError: the name is taken.
    """

    def decorate(function: _F) -> _F:
        if name in FAMILIES:
            raise ValueError(f"the model family '{name}' exists already: {FAMILIES[name].load!r}")
        FAMILIES[name] = ModelFamily(function, form, known)
        return function

    return decorate


def family_forms() -> dict[str, str]:
    """Return how strings of each family are written, those of the package first; imports none."""
    return {**{name: family.form for name, family in FAMILIES.items()}, **{name: f"{name}:…" for name in _others()}}


def find_family(name: str) -> ModelFamily:
    """Return what is known of a family.

    Raises:
        ModelError: there is none of that name (says the nearest one), or it cannot be imported.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    others = _others()
    if name not in others:
        raise ModelError(f"unknown model family '{name}'.{nearest(name, family_forms())}")
    point = others[name]
    found = load_plugin(point, "model family", ModelError)
    if isinstance(found, ModelFamily):
        return found
    if not callable(found):
        raise ModelError(
            f"{origin(point, 'model family')} is a {type(found).__name__}; a function from what stands behind "
            f"'{name}:' to a model is right"
        )
    return ModelFamily(found, f"{name}:…")


def _others() -> dict[str, EntryPoint]:
    """Return the families of other packages; a name of ours stays ours."""
    return plugins(GROUP, FAMILIES)


def load_model(spec: str) -> Model:
    """Return the model that a string names.

    - ``open_clip:ARCH/TAG`` pretrained, ``open_clip:ARCH/random`` untrained, ``open_clip:ARCH//FILE`` a checkpoint
    - ``timm:NAME`` pretrained, ``timm:NAME/random`` untrained, ``timm:NAME//FILE`` a checkpoint
    - ``torchvision:NAME``, ``torchvision:NAME/WEIGHTS``, ``/random`` and ``//FILE`` likewise
    - ``hf:OWNER/NAME`` or ``hf:FOLDER``: transformers; ``hf:FOLDER/random`` untrained
    - ``hub:OWNER/REPO:NAME`` or ``hub:FOLDER:NAME``: torch.hub
    - ``tiny:FOLDER`` what :func:`~torchmultiverse.train.train_clip` wrote, ``tiny:FOLDER/random`` its untrained twin
    - ``ssl:FOLDER`` an encoder that ``torchmultiverse train ssl`` trained, ``ssl:FOLDER@EPOCH`` one of its checkpoints
    - ``blind:MODEL`` one that reads captions, shown a grey picture in place of each
    - ``python:MODULE:FUNCTION`` anything importable, see :func:`~torchmultiverse.models.as_model`
    - what a package adds under the entry point group ``torchmultiverse.models``

    Options follow a question mark: ``timm:resnet50?resize=squash&precision=bfloat16``; see ``options.OPTIONS``.
    An alias stands before all: ``mine=timm:resnet50`` is called ``mine`` in tables, pages and records; see
    :func:`~torchmultiverse.models.split_alias`.

    Raises:
        ModelError: no such family, model or weights, or weights that cannot be had here.
        MissingExtra: the family's library is not installed.
    """
    alias, spec = split_alias(spec)
    bare, options = split_options(spec)
    if alias is not None and "name" in options:
        raise ModelError(f"'{spec}' is named twice: {alias}= before it, and name={options['name']} behind it")
    family, colon, rest = bare.partition(":")
    forms = family_forms()
    published = _ELSEWHERE.get(family.lower().replace("-", "").replace("_", ""))
    if published and family not in forms:
        raise ModelError(f"'{spec}': {published}")
    if not colon or not rest:
        raise ModelError(f"'{spec}' is no model string; they look like: {'; '.join(forms.values())}")
    if family not in forms:
        raise ModelError(f"unknown model family '{family}' in '{spec}'.{nearest(family, forms)}")
    load = find_family(family)
    try:
        model = load(rest)
    except (Exception, SystemExit) as error:
        ours = family in FAMILIES and family != "python"
        if ours or isinstance(error, TorchMultiverseError | ModuleNotFoundError):
            raise
        raise ModelError(f"'{spec}' cannot be loaded: {type(error).__name__}: {error}") from error  # somebody's code
    apply_options(model, options, spec, alias)
    return model


def as_model(
    thing: Any,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Model:
    """Return a model for whatever can be one.

    - a model string: what :func:`load_model` returns;
    - an object with ``encode_image`` and ``encode_text``: image-text; with the first alone: encoder; with ``score``:
      scorer; with ``logits``: classifier (a PyTorch module with none of these counts as its ``__call__``). Its
      ``logit_scale`` is a factor where it is a number (100 where there is none), and the logarithm of one where it is a
      tensor, as CLIP, open_clip and transformers keep it;
    - a function of nothing: called, its result is the model;
    - a function of images: a classifier that returns logits (N, C);
    - a function of images and captions: a scorer that returns (N, K).

    Args:
        thing: see above. What comes back may be a NumPy array, a tensor of any precision, or a mapping or output of
            transformers that holds one under its usual name: ``logits``, ``image_embeds``, ``text_embeds``, …
        name: what tables call it; default: its own name.
        classes: names of a classifier's logits; without them they are the 1000 of ImageNet.
        preprocess: with it, functions receive float32 (N, 3, H, W) instead of a list of PIL images; a PyTorch
            module receives tensors and needs one.

    Raises:
        ModelError: nothing of the above.
    """
    while not isinstance(thing, str) and is_factory(thing):
        thing = thing()
    if isinstance(thing, str):
        return load_model(thing)
    return wrapped(thing, name, classes, preprocess)


def as_models(things: Any) -> list[Model]:
    """Return the models of one or several things that `as_model` takes, each of which has a name of its own.

    Raises:
        ModelError: as `as_model`, or two have one name.
    """
    if isinstance(things, str) or not isinstance(things, Sequence):
        things = [things]
    loaded = [as_model(thing) for thing in things]
    names = [model.info.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(
                f"two models are called '{name}'; give each its own name: NAME=STRING, or as_model(model, name=…)"
            )
    return loaded


def model_strings(specs: Iterable[str]) -> list[str]:
    """Return the model strings that some specifications mean, each once, in order.

    A string with ``*`` means all that its family knows by such a name; ``@FILE`` means the lines of a file, without
    empty ones and without what follows ``#``.

    Raises:
        ModelError: a pattern that nothing fits, of a family that cannot list its models, no such file, or an alias of
            two models.
    """
    found: dict[str, None] = {}
    for spec in specs:
        if spec.startswith("@"):
            found |= dict.fromkeys(model_strings(_lines(Path(spec[1:]))))
        elif split_alias(spec)[0] is None and "*" in spec.partition("?")[0]:
            bare, mark, options = spec.partition("?")
            fits = [name for name in known_models(bare.partition(":")[0]) if fnmatchcase(name, bare)]
            if not fits:
                raise ModelError(f"no model is called '{bare}'; `torchmultiverse models list` shows what there is")
            found |= dict.fromkeys(name + mark + options for name in fits)
        else:
            found[spec] = None
    aliases = [alias for spec in found if (alias := split_alias(spec)[0]) is not None]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise ModelError(f"two models are called '{alias}'; give each its own name")
    return list(found)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ModelError(f"model file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ModelError(f"model file {path}: it is no text in UTF-8: {error}") from None
    return [spec for line in lines if (spec := line.partition("#")[0].strip())]


def known_models(family: str) -> list[str]:
    """Return the strings of all pretrained models that a library offers.

    Raises:
        ModelError: no such family, or one that cannot list its models.
        MissingExtra: the family's library is not installed.
    """
    found = find_family(family)
    if found.known is None:
        raise ModelError(f"'{family}' cannot list its models; {found.form}")
    return found.known()
