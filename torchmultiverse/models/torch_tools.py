"""What all adapters of PyTorch models share."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmultiverse.errors import MissingExtra, ModelError
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import Images

if TYPE_CHECKING:
    import torch

    from torchmultiverse.models.processors import ImageProcessor


def need(package: str, purpose: str, extra: str = "eval") -> Any:
    """Import a package of an extra.

    Raises:
        MissingExtra: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtra(package.partition(".")[0], extra, purpose) from error


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def weights_hash(module: torch.nn.Module) -> str:
    """Return the SHA-256 over names, shapes and bytes of all tensors of a module, in the order of names."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def parameter_count(module: torch.nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def name_tag_file(rest: str) -> tuple[str, str, str]:
    """Return the parts of ``NAME``, ``NAME/TAG`` or ``NAME//FILE``; what is not there is empty.

    ``NAME///home/me/x.pth`` is the absolute path. ``NAME//home/me/x.pth`` can be read both ways (a name, a slash and an
    absolute path): it is the path below the working folder, and the absolute one where only that exists.

    Raises:
        ModelError: ``//`` with nothing behind it, or with a file that is in neither place.
    """
    name, double, path = rest.partition("//")
    if double:
        if not path:
            raise ModelError(f"'{rest}': which file? {name}//path/to/checkpoint.pth")
        if not path.startswith("/") and not Path(path).exists():
            if not Path(f"/{path}").exists():
                raise ModelError(f"no checkpoint at {path} (below {Path.cwd()}), nor at /{path}")
            path = f"/{path}"
        return name, "", path
    name, _, tag = rest.partition("/")
    return name, tag, ""


def load_tensors(path: Path, where: torch.device | str = "cpu", keys: Collection[str] = (), remedy: str = "") -> Any:
    """Read what `save_tensors` or ``torch.save`` wrote; pickled code is refused.

    Args:
        path: of the file; one that ends in ``.safetensors`` is read as such.
        where: the device that tensors are put on.
        keys: of the mapping that the file has to hold, where it has to hold one.
        remedy: what to do about a file that cannot be read.

    Raises:
        ModelError: no such file, not a file of tensors, or not of these keys.
    """
    import torch

    if not path.is_file():
        raise ModelError(f"no checkpoint at {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            held: Any = load_file(path)
        else:
            held = torch.load(path, map_location=where, weights_only=True)
        if keys and not (isinstance(held, dict) and held.keys() >= set(keys)):
            raise ValueError(f"{', '.join(keys)} are not all in it")
    except Exception as error:
        # What PyTorch says of other files is how to load them unsafely, which is no way out here; of some, nothing.
        told = (str(error).splitlines() or [""])[0][:200]
        if not told or told.startswith("Weights only load failed"):
            told = "it is not in PyTorch's format, or holds other objects"
        size = f"{path.stat().st_size:,} bytes"
        raise ModelError(f"{path} ({size}) is no checkpoint of tensors alone: {told}{remedy}") from error
    return held


def load_state(path: str | Path) -> dict[str, Any]:
    """Read tensors from a checkpoint; pickled code is refused. ``state_dict`` and ``module.`` wrappers are undone.

    Raises:
        ModelError: no such file, or not a file of tensors.
    """
    import torch

    path = Path(path)
    state = load_tensors(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ModelError(f"{path} holds no state_dict")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def save_tensors(path: Path, data: Any) -> None:
    """Write tensors, or mappings and lists of them, so that the file is there whole or not at all."""
    import torch

    from torchmultiverse.files import atomic_file, remove_leftovers

    remove_leftovers(path.parent)
    with atomic_file(path) as file:
        torch.save(data, file)


def fill(module: torch.nn.Module, path: str | Path) -> None:
    """Load a checkpoint into a module.

    Raises:
        ModelError: names or shapes differ.
    """
    try:
        module.load_state_dict(load_state(path))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise ModelError(f"{path} does not fit {type(module).__name__}: {' '.join(lines)[:300]}") from error


def triple(values: Sequence[float] | None, default: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return three channel values."""
    one, two, three = default if values is None else values
    return float(one), float(two), float(three)


class TorchModel:
    """What all adapters of PyTorch modules share: device, precision, declared preprocessing.

    Args:
        module: to evaluate; moved to the GPU where there is one.
        info: the model's facts; its preprocessing is applied.
        adapter: name of the adapter in the keys of the feature cache; it stays when the class is renamed.
        processor: prepares images where they have no declaration, see :class:`~.processors.ImageProcessor`.
    """

    adapter = "TorchModel"
    processor: ImageProcessor | None = None

    def __init__(self, module: torch.nn.Module, info: ModelInfo) -> None:
        self.device = device()
        self.module = module.to(self.device).float().eval()
        self.info = info
        self._any: Any = self.module

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients in the declared precision; weights stay float32, so that it can be changed."""
        import torch

        low = self.info.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            yield

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the output for normalised images (N, 3, H, W): one row each, (N, D), not brought to unit length.

        Gradients flow where they are enabled: this is what layers are cut from, and what attacks go through.
        """
        raise NotImplementedError(type(self).__name__)

    def forward_full(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the end of the deepest path; more than `forward` where a projector hangs behind the output."""
        return self.forward(pixels)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        if self.info.preprocess is not None:
            return self.info.preprocess.size
        assert self.processor is not None
        return self.processor.size

    def change(self, **facts: Any) -> None:
        """Change declared facts: another name, another preprocessing, another precision."""
        self.info = replace(self.info, **facts)

    def batch(self, images: Images) -> torch.Tensor:
        """Return preprocessed pictures on the device, (N, 3, H, W); normalised there, from 8-bit pixels."""
        import torch

        preprocess = self.info.preprocess
        if preprocess is None:
            assert self.processor is not None
            return torch.from_numpy(self.processor(images)).to(self.device)
        pixels = torch.from_numpy(np.ascontiguousarray(preprocess.pixels(images))).to(self.device)
        mean, std = (
            torch.tensor(v, device=self.device, dtype=torch.float32) for v in (preprocess.mean, preprocess.std)
        )
        if preprocess.step < 0:
            pixels = pixels.flip(-1)
        scaled = (pixels.float() / 255 - mean) / std
        return scaled.permute(0, 3, 1, 2).contiguous()


def shifted(batch: torch.Tensor, most: int, rng: np.random.Generator) -> torch.Tensor:
    """Return pictures (N, C, H, W), each moved by up to ``most`` pixels; borders are repeated."""
    import torch

    height, width = batch.shape[-2:]
    padded = torch.nn.functional.pad(batch, (most,) * 4, mode="replicate")
    places = rng.integers(0, 2 * most + 1, (len(batch), 2))
    return torch.stack([p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, places, strict=True)])


def seed_of(*numbers: int) -> int:
    """Return one seed of several numbers, for PyTorch's generators."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seeded(make: Callable[[], Any]) -> Any:
    """Return a module with random weights that are the same on every machine."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def out_of(tensor: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a float32 array on the CPU."""
    return np.asarray(tensor.detach().float().cpu().numpy(), np.float32)
