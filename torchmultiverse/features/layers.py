"""Points inside a model: where it can be cut, and what it makes of pictures there.

A cut is a place that everything which the model says later depends on alone: no skip connection goes round it. Such
places are read off the graph of one forward pass: a tensor is a cut where every path from the picture to the output
goes through it, which is where the number of paths through it is the number of all paths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from torchmultiverse.errors import ModelError, SettingError, nearest
from torchmultiverse.models import FloatArray, HasLayers, HasModule, Images, ModelInfo
from torchmultiverse.models import torch_tools as tools

if TYPE_CHECKING:
    import torch

_POOLINGS = ("mean", "cls", "max")
OUTPUT = "output"
"""The name of what the model gives in the end: its embedding or its logits."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A point of a model.

    Attributes:
        name: path of the module whose output it is, as PyTorch names it; `OUTPUT` for the end.
        shape: of its output for one picture.
        size: numbers that are left after pooling: channels of a map, width of a token.
        cut: whether all that comes later depends on it alone.
        module: class of the module.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    cut: bool
    module: str


def layers_of(model: Any, every: bool = False) -> list[Layer]:
    """Return the points of a model in the order of computation.

    Points that say the same (a container and its last part, a dropout that does nothing) are listed once, by the
    shortest name. A model through which no gradient goes has one place to cut: `OUTPUT`, what it gives. If it holds a
    PyTorch module, as an object with ``encode_image`` may, that module's points are listed where all are asked for.

    Args:
        model: any model.
        every: also points that a skip connection goes round.

    Raises:
        ModelError: the model looks at pictures and captions together: nothing of it is of a picture alone.
    """
    import torch

    if not isinstance(model, HasLayers):
        return _without_gradients(model, every)
    inner = model
    # In-place operations that follow change a tensor's place in the graph: it is kept as it was.
    found: dict[str, tuple[torch.Tensor, Any]] = {}
    calls: dict[str, int] = {}

    def keep(name: str, tensor: torch.Tensor) -> None:
        found.pop(name, None)  # to stand behind what was computed inside it
        found[name] = tensor, _origin(tensor.grad_fn)
        calls[name] = calls.get(name, 0) + 1

    with _hooks(_modules(inner), keep), torch.enable_grad():
        # Five pictures: a number that hardly any other axis has, so that the axis of pictures can be told.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            pixels = torch.randn(_PROBE, 3, *inner.input_size).to(inner.device).requires_grad_(True)
        try:
            end = inner.forward_full(pixels)
        except NotImplementedError:
            raise ModelError(f"'{inner.info.name}' has no layers to look into") from None
        through = _cuts(end, pixels)
    layers: list[Layer] = []
    seen: dict[Any, int] = {}
    for name, (tensor, node) in found.items():
        axis = _axis(tensor)
        if node is None or axis is None or calls[name] != 1:
            continue
        cut = node in through
        shape = tuple(side for place, side in enumerate(tensor.shape) if place != axis)
        layer = Layer(name, shape, _width(shape), cut, type(inner.module.get_submodule(name)).__name__)
        if (twin := seen.get(node)) is not None:
            layers[twin] = min(layers[twin], layer, key=_plainness)
        elif cut or every:
            seen[node] = len(layers)
            layers.append(layer)
    if _origin(end.grad_fn) not in seen:
        layers.append(Layer(OUTPUT, tuple(end.shape[1:]), int(end.shape[1]), True, type(inner.module).__name__))
    return layers


def choose(model: Any, names: Sequence[str] | str = "cuts") -> list[str]:
    """Return the names of layers that a choice means.

    Args:
        model: whose layers.
        names: ``cuts`` for all places to cut, ``every``, or names, each with ``@mean``, ``@cls`` or ``@max`` behind it
            where another pooling than the default is wanted.

    Raises:
        ModelError: no such layer or pooling.
    """
    if isinstance(names, str) and names in ("cuts", "every"):
        return [layer.name for layer in layers_of(model, names == "every")]
    wanted = [names] if isinstance(names, str) else list(names)
    if not isinstance(model, HasLayers):
        _given_by(model)
    modules = [*(name for name, _ in _modules(model) if name), OUTPUT]
    for one in wanted:
        name, _, pooling = one.partition("@")
        if name not in modules and len(modules) == 1:
            raise SettingError(
                f"'{model.info.name}' has no layer '{name}': it shows none but '{OUTPUT}', what it gives. A PyTorch "
                "module shows its layers where it is made a model by as_model(module, preprocess=…)"
            )
        if name not in modules:
            raise SettingError(f"'{model.info.name}' has no layer '{name}'.{nearest(name, modules)}")
        if pooling not in ("", *_POOLINGS):
            raise SettingError(f"'{one}': pooling is {', '.join(_POOLINGS)}, not '{pooling}'")
    return wanted


def last_of_trunk(model: Any) -> str:
    """Return the last place to cut that is in no head; the last of all where everything is head.

    A head is what is called so, and the last layer of a classifier, whose values are logits whatever its name (``fc``,
    ``classifier``).

    Raises:
        ModelError: a model without layers.
    """
    names = choose(model)
    trunk = [name for name in names if not name.startswith("head")]
    if model.info.kind == "classifier" and trunk and trunk[-1] == names[-1]:
        trunk.pop()
    return (trunk or names)[-1]


class LayerExtractor:
    """What several layers of a model make of images, in one pass.

    Args:
        model: any model.
        layers: as `choose` returns them.

    Raises:
        ModelError: see `layers_of`.
    """

    def __init__(self, model: Any, layers: Sequence[str]) -> None:
        self._given = None if isinstance(model, HasLayers) else _given_by(model)
        self._model = model
        self.layers = list(layers)

    def __call__(self, images: Images) -> list[FloatArray]:
        """Return (N, D) of each layer, float32: maps are averaged over their places, tokens as `pooled` says.

        Raises:
            ModelError: a layer that was not computed, or computed more than once.
        """
        if self._given is not None:
            return [tools.out_of(tensor) for tensor in self._found(len(images), partial(self._given, images))]
        with self._model.computing():
            return [tools.out_of(tensor) for tensor in self.forward(self._model.batch(images))]

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Return the same of normalised pictures (N, 3, H, W), as tensors; gradients flow where they are enabled.

        Raises:
            ModelError: see `__call__`.
        """
        if self._given is not None:
            raise ModelError(f"'{self._model.info.name}' is no PyTorch module: no gradient goes through it")
        return self._found(len(pixels), partial(self._model.forward_full, pixels))

    def _found(self, count: int, run: Callable[[], Any]) -> list[torch.Tensor]:
        """Return what the layers make of so many pictures while something runs that gives the output."""
        import torch

        wanted: dict[str, list[str]] = {}
        for layer in self.layers:
            wanted.setdefault(layer.partition("@")[0], []).append(layer)
        found: dict[str, torch.Tensor] = {}

        def keep(name: str, tensor: torch.Tensor) -> None:
            for layer in wanted[name]:  # a copy, at once: what follows may change the tensor in place
                if layer in found:
                    raise ModelError(f"layer '{name}' of '{self._model.info.name}' is computed twice a picture")
                found[layer] = pooled(tensor, count, layer.partition("@")[2] or "mean").clone()

        with _hooks(_modules(self._model), keep, set(wanted)):
            end = run()
        if OUTPUT in wanted:
            keep(OUTPUT, torch.as_tensor(end))
        if missing := [layer for layer in self.layers if layer not in found]:
            raise ModelError(f"layer '{missing[0]}' of '{self._model.info.name}' is not computed for a picture")
        return [found[layer] for layer in self.layers]


def pooled(tensor: torch.Tensor, count: int, pooling: str = "mean") -> torch.Tensor:
    """Return one row per picture, (N, D).

    Args:
        tensor: (N, D) as it is; maps (N, C, H, W) or (N, H, W, C); tokens (N, L, D) or (L, N, D).
        count: N.
        pooling: ``mean`` or ``max`` over places or tokens; ``cls`` takes the first token.

    Raises:
        ModelError: no axis of pictures, or a first token of a map.
    """
    axis = _axis(tensor, count)
    if axis is None:
        raise ModelError(f"a layer of shape {tuple(tensor.shape)} has no row for each of {count} pictures")
    tensor = tensor.movedim(axis, 0).float()
    if tensor.ndim == 2:
        return tensor
    if tensor.ndim == 4:
        if pooling == "cls":
            raise SettingError("a map has no first token; its pooling is mean or max")
        # Convolutions have channels first, Swin's maps last: the two sides of a map are the ones that agree.
        flat = tensor.flatten(2) if tensor.shape[2] == tensor.shape[3] else tensor.flatten(1, 2).transpose(1, 2)
        return flat.mean(-1) if pooling == "mean" else flat.amax(-1)
    if tensor.ndim == 3:
        if pooling == "cls":
            return tensor[:, 0]
        return tensor.mean(1) if pooling == "mean" else tensor.amax(1)
    return tensor.flatten(1)


_PROBE = 5
_SIDE = 64  # of the picture that a model without layers is asked for its length


def _given_by(model: Any) -> Callable[[Images], FloatArray]:
    """Return what gives the vectors, (N, D), of a model that shows no layers.

    Raises:
        ModelError: nothing does.
    """
    name = model.info.name if isinstance(getattr(model, "info", None), ModelInfo) else type(model).__name__
    give = getattr(model, "encode_image", None) or getattr(model, "logits", None)
    if give is None:
        raise ModelError(f"'{name}' has no layers: it looks at pictures and captions together")

    def given(images: Images) -> FloatArray:
        found = np.asarray(give(images), np.float32)
        if found.ndim < 2 or len(found) != len(images):
            raise ModelError(f"'{name}' gives shape {found.shape} for {len(images)} pictures; (N, D) is right")
        return found.reshape(len(found), -1)

    return given


def _modules(model: Any) -> list[tuple[str, Any]]:
    """Return the modules of a model with their names; none of one that holds no PyTorch module."""
    return list(model.module.named_modules()) if isinstance(model, HasModule) else []


def _without_gradients(model: Any, every: bool) -> list[Layer]:
    """Return the points of a model that is asked as a whole: what it gives, and those of a module that it holds."""
    held = dict(_modules(model))
    found: dict[str, tuple[int, ...]] = {}
    calls: dict[str, int] = {}

    def keep(name: str, tensor: torch.Tensor) -> None:
        axis = _axis(tensor)
        calls[name] = calls.get(name, 0) + (1 if axis is not None else 2)
        found.pop(name, None)
        found[name] = tuple(side for place, side in enumerate(tensor.shape) if place != axis)

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)) for _ in range(_PROBE)]
    with _hooks(list(held.items()), keep):
        vectors = _given_by(model)(pictures)
    layers = [
        Layer(name, shape, _width(shape), False, type(held[name]).__name__)
        for name, shape in found.items() if every and calls[name] == 1
    ]  # fmt: skip
    return [*layers, Layer(OUTPUT, vectors.shape[1:], vectors.shape[1], True, type(model).__name__)]


def _plainness(layer: Layer) -> tuple[bool, int]:
    """Order names of one point: ``blocks.11`` before ``blocks``, and both before ``blocks.11.drop_path2``."""
    parts = layer.name.split(".")
    return not parts[-1].isdigit(), len(parts)


@contextlib.contextmanager
def _hooks(
    modules: Sequence[tuple[str, Any]], keep: Callable[[str, torch.Tensor], None], names: set[str] | None = None
) -> Iterator[None]:
    """Call a function with the outputs of modules, all or those named, while pictures pass."""
    handles = []
    for name, child in modules:
        if not name or (names is not None and name not in names):
            continue

        def seen(_: Any, __: Any, output: Any, name: str = name) -> None:
            if (tensor := _tensor(output)) is not None:
                keep(name, tensor)

        handles.append(child.register_forward_hook(seen))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensor(output: Any) -> Any:
    import torch

    if isinstance(output, torch.Tensor):
        return output if output.is_floating_point() else None
    if isinstance(output, tuple | list) and output:
        return _tensor(output[0])
    hidden = getattr(output, "last_hidden_state", None)
    return hidden if isinstance(hidden, torch.Tensor) else None


def _axis(tensor: Any, count: int = _PROBE) -> int | None:
    shape = tuple(tensor.shape)
    if len(shape) >= 2 and shape[0] == count:
        return 0
    return 1 if len(shape) == 3 and shape[1] == count else None


def _width(shape: tuple[int, ...]) -> int:
    if len(shape) == 3:
        return shape[0] if shape[1] == shape[2] else shape[2]
    return int(shape[-1]) if len(shape) <= 2 else int(np.prod(shape))


_VIEWS = ("View", "UnsafeView", "ReshapeAlias", "Flatten", "Squeeze", "Unsqueeze", "Permute", "Transpose", "Alias", "T")


def _origin(node: Any) -> Any:
    """Return the node that a tensor is another view of: the same numbers in another order."""
    while node is not None and type(node).__name__.rstrip("0123456789").removesuffix("Backward") in _VIEWS:
        node = node.next_functions[0][0]
    return node


def _cuts(end: Any, pixels: Any) -> set[Any]:
    """Return the nodes of a graph that every path from the pixels to the end passes."""
    root = end.grad_fn
    order = _inputs_first(root)
    leaf = next((node for node in order if getattr(node, "variable", None) is pixels), None)
    if leaf is None:
        return set()
    # Numbers of paths: down to the pixels from each node, and up to each node from the end.
    down: dict[Any, int] = {}
    for node in order:
        down[node] = 1 if node is leaf else sum(down[parent] for parent in _parents(node))
    up = dict.fromkeys(order, 0)
    up[root] = 1
    for node in reversed(order):
        for parent in _parents(node):
            up[parent] += up[node]
    return {node for node in order if down[node] and up[node] * down[node] == down[root]}


def _parents(node: Any) -> list[Any]:
    """Return the nodes that a node was computed from, as often as it uses each."""
    return [parent for parent, _ in node.next_functions if parent is not None]


def _inputs_first(root: Any) -> list[Any]:
    """Return the nodes of a graph, every node behind those that it was computed from."""
    order: list[Any] = []
    done: set[Any] = set()
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, after = stack.pop()
        if after:
            order.append(node)
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack += [(parent, False) for parent in _parents(node) if parent not in done]
    return order
