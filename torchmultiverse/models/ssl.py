"""Self-supervised (and supervised) encoders with a projector, and their files.

The trunk is the backbone with its pooling, the head the projector that is thrown away afterwards, in blocks ``head.1``
to ``head.L``; a model string ``ssl:FOLDER`` gives the trunk's vectors, and its layers reach through the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.json_text import read_json
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.backbone_size import sized_backbone
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.modules import ModuleEncoder
from torchmultiverse.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

if TYPE_CHECKING:
    import torch

ENCODER_CONFIG = "config.json"


def network(
    trunk: torch.nn.Module, width: int, widths: Sequence[int], prefix: int = 0, spherical: bool = False
) -> torch.nn.Module:
    """Return a module with ``trunk`` and ``head``, which gives the trunk's vectors.

    The head has blocks 1 to L: Linear, BatchNorm and ReLU, and in the end Linear without bias; without widths it hands
    the vectors on. With a prefix it begins with ``split``, which gives what is behind the prefix; ``split.prefix``
    gives the prefix.

    Args:
        trunk: pictures, or anything, to (N, D).
        width: D.
        widths: of the head's blocks.
        prefix: first numbers of the trunk's vectors that the head does not see.
        spherical: GELU in place of ReLU, and vectors of length 1 at the head's entry and end, as cosine losses want.

    Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, section 4; M. B. Sarıyıldız et al., *No reason for
    no supervision*, ICLR 2023, section 3.
    """
    import torch

    class Split(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.prefix = torch.nn.Identity()

        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.prefix(x[:, :prefix])  # so that it can be asked for as a layer
            return x[:, prefix:]

    head = torch.nn.Sequential()
    if prefix:
        head.add_module("split", Split())
        width -= prefix
    for number, wide in enumerate(widths, 1):
        last = number == len(widths)
        block: torch.nn.Module = torch.nn.Linear(width, wide, bias=not last)
        if spherical:
            block = _spherical(width, wide, enters=number == 1, leaves=last)
        if not last:
            block = torch.nn.Sequential(
                block, torch.nn.BatchNorm1d(wide), torch.nn.GELU() if spherical else torch.nn.ReLU()
            )
        head.add_module(str(number), block)
        width = wide

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = trunk, head

        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.trunk(x)
            return out

    return Network()


def _spherical(width: int, wide: int, enters: bool, leaves: bool) -> torch.nn.Module:
    """Return a linear layer whose vectors are brought to length 1 before it, behind it (then without bias), or not."""
    import torch

    unit = torch.nn.functional.normalize

    class SphericalLinear(torch.nn.Linear):
        @override
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made = super().forward(unit(x, dim=1) if enters else x)
            return unit(made, dim=1) if leaves else made

    layer = SphericalLinear(width, wide, bias=not leaves)
    torch.nn.init.trunc_normal_(layer.weight, std=0.02)
    return layer


def build_encoder(config: Mapping[str, Any]) -> torch.nn.Module:
    """Return the untrained network of a configuration: a timm backbone, and a head.

    Raises:
        ModelError: timm has no such backbone, none of that width or depth, or a prefix leaves nothing of its vectors.
        MissingExtra: timm is not installed.
    """
    timm = tools.need("timm", "a backbone")
    name, size = str(config["backbone"]), int(config["size"])
    if not timm.is_model(name):
        raise ModelError(f"timm has no model '{name}'.{nearest(name, timm.list_models())}")
    sized = {"img_size": size} if "vit" in name else {}
    trunk = sized_backbone(name, *(float(config.get(f"backbone_{side}", 1.0)) for side in ("width", "depth")), **sized)
    width, prefix = int(trunk.num_features), int(config["ddm_prefix"]) if config.get("ddm") else 0
    if prefix >= width:
        raise ModelError(
            f"ddm_prefix={prefix} leaves nothing of the {width} numbers of {name}; the source takes a sixteenth, "
            f"here {max(1, width // 16)}"
        )
    spherical = str(config.get("method", "")).startswith("trex")
    return network(trunk, width, [int(wide) for wide in config["head"]], prefix, spherical)


class SslEncoder(ModuleEncoder):
    """A trained trunk; its layers reach through the head."""

    adapter = "SslEncoder"

    @override
    def forward_full(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._any.head(self._any.trunk(pixels))
        return found


def preprocess_of(size: int) -> Preprocess:
    """Return what happens to pictures before such an encoder."""
    return Preprocess((size, size), "squash", 1.0, "bicubic", IMAGENET_MEAN, IMAGENET_STD)


def load_ssl(rest: str) -> SslEncoder:
    """Return the encoder of ``FOLDER``, of ``FOLDER@EPOCH`` of a kept checkpoint, or of ``FOLDER@random``.

    Raises:
        ModelError: the folder holds no such encoder or checkpoint.
    """
    path, at, epoch = rest.rpartition("@") if "@" in rest else (rest, "", "")
    folder = Path(path)
    try:
        config = read_json((folder / ENCODER_CONFIG).read_text(encoding="utf-8"))
        size, method = int(config["size"]), str(config["method"])
    except FileNotFoundError:
        there = f"has no {ENCODER_CONFIG}" if folder.is_dir() else "no such folder"
        raise ModelError(f"{folder} holds no encoder that `train ssl` made: {there}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} holds no encoder that `ssl` trained ({ENCODER_CONFIG}): {error}") from None
    module = tools.seeded(lambda: build_encoder(config))
    kept = sorted(file.stem.removeprefix("epoch-").lstrip("0") or "0" for file in folder.glob("epoch-*.pt"))
    if epoch != "random":
        file = folder / (f"epoch-{int(epoch):05d}.pt" if epoch.isdigit() else "model.pt")
        if (at and not epoch.isdigit()) or not file.is_file():
            offer = f" Kept epochs: {', '.join(sorted(kept, key=int))}." if kept else ""
            raise ModelError(f"{folder} has no checkpoint '{epoch or 'model.pt'}'.{offer}")
        tools.fill(module, file)
    after = f" after {epoch} epochs" if epoch.isdigit() else ", untrained" if epoch == "random" else ""
    return SslEncoder(
        module,
        ModelInfo(
            f"ssl:{rest}",
            "encoder",
            preprocess_of(size),
            weights="random" if epoch == "random" else str(folder),
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"{method}{after}, {config['backbone']}, {config.get('pictures', '?')} pictures of {size} pixels",
            embedding=int(module.trunk.num_features),  # type: ignore[union-attr, arg-type]
        ),
    )
