"""Decoders from the weights that their authors released, in the names and shapes of the source.

The published network numbers its stages and keeps query, key and value in one convolution; here each has its name. All
released weights of RCDM are of 128 pixels, conditioned on ResNet-50 (2,048 numbers at the trunk).

Source: P. Dhariwal and A. Nichol, *Diffusion models beat GANs on image synthesis*, NeurIPS 2021, and the settings of
the weights that were released with it; F. Bordes et al., *High fidelity visualization of what your self-supervised
representation knows about*, TMLR 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.diffusion import DECODER_PRESETS, Decoder, DecoderConfig, decoder_preset

if TYPE_CHECKING:
    import torch

PUBLISHED_PRESETS = tuple(name for name, preset in DECODER_PRESETS.items() if preset.get("network") == "adm")
"""Presets whose released weights can be loaded."""
_PARTS_FIRST = {"adm-64"}
"""Presets whose attention is divided into query, key and value first and into heads then; the others the other way."""
_RESIDUAL = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2",
    "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
_ATTENTION = {"norm": "group_norm", "proj_out": "to_out.0"}
_QKV = ("to_q", "to_k", "to_v")
_SINGLE = {
    "time_embed.0": "unet.time_embedding.linear_1", "time_embed.2": "unet.time_embedding.linear_2", "ssl_emb": "embed",
    "input_blocks.0.0": "unet.conv_in", "out.0": "unet.conv_norm_out", "out.2": "unet.conv_out",
}  # fmt: skip


def published_stages(config: DecoderConfig) -> Iterator[tuple[str, str, bool]]:
    """Yield each block of a network: its published name, its name here, and whether it is one of attention.

    >>> from torchmultiverse.models import decoder_preset
    >>> [stage[:2] for stage in published_stages(decoder_preset("adm-128", 128, 2048))][2:4]
    [('input_blocks.3.0', 'unet.down_blocks.0.downsamplers.0'), ('input_blocks.4.0', 'unet.down_blocks.1.resnets.0')]
    """
    levels = len(config.multipliers)
    attends = [config.size >> level in config.attention for level in range(levels)]
    place = 0
    for level in range(levels):
        for block in range(config.blocks):
            place += 1
            yield f"input_blocks.{place}.0", f"unet.down_blocks.{level}.resnets.{block}", False
            if attends[level]:
                yield f"input_blocks.{place}.1", f"unet.down_blocks.{level}.attentions.{block}", True
        if level < levels - 1:
            place += 1
            yield f"input_blocks.{place}.0", f"unet.down_blocks.{level}.downsamplers.0", False
    yield "middle_block.0", "unet.mid_block.resnets.0", False
    yield "middle_block.1", "unet.mid_block.attentions.0", True
    yield "middle_block.2", "unet.mid_block.resnets.1", False
    place = -1
    for turn, level in enumerate(reversed(range(levels))):
        for block in range(config.blocks + 1):
            place += 1
            yield f"output_blocks.{place}.0", f"unet.up_blocks.{turn}.resnets.{block}", False
            if attends[level]:
                yield f"output_blocks.{place}.1", f"unet.up_blocks.{turn}.attentions.{block}", True
            if level and block == config.blocks:
                yield f"output_blocks.{place}.{1 + attends[level]}", f"unet.up_blocks.{turn}.upsamplers.0", False


def published_shapes(config: DecoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all published tensors of a network, by their published name; no memory is taken.

    Raises:
        MissingExtra: diffusers is not installed.
    """
    import torch

    with torch.device("meta"):
        ours = {name: tuple(tensor.shape) for name, tensor in Decoder(config).module.state_dict().items()}
    found = {}
    for published, here in _names(config, ours).items():
        first = ours[here[0]]
        rows = sum(ours[name][0] for name in here)
        # The published attention of 1 × 1 convolutions has a third side to its weights.
        flat = (".to_" in here[0]) and len(first) == 2
        found[published] = (rows, *first[1:], 1) if flat else (rows, *first[1:])
    return found


def _names(config: DecoderConfig, ours: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return our names of each published tensor: three of query, key and value, one of all else."""
    pairs: dict[str, tuple[str, ...]] = {published: (here,) for published, here in _SINGLE.items()}
    for published, here, attends in published_stages(config):
        inside = _ATTENTION if attends else _RESIDUAL
        pairs |= {f"{published}.{theirs}": (f"{here}.{mine}",) for theirs, mine in inside.items()}
        if attends:
            pairs[f"{published}.qkv"] = tuple(f"{here}.{part}" for part in _QKV)
    return {
        f"{published}.{kind}": tuple(f"{name}.{kind}" for name in here)
        for published, here in pairs.items() for kind in ("weight", "bias") if f"{here[0]}.{kind}" in ours
    }  # fmt: skip


def translate_published(
    config: DecoderConfig, state: Mapping[str, torch.Tensor], parts_first: bool = False
) -> dict[str, torch.Tensor]:
    """Return published tensors under the names of this package, float32.

    Args:
        config: of the ``adm`` network, with ``add_emb`` or without a condition, as released.
        state: tensors by published name.
        parts_first: whether attention is divided into query, key and value first, and into heads then.

    Raises:
        ModelError: a tensor that is missing, of another shape, or of no place; all are counted, the first is named.
        MissingExtra: diffusers is not installed.
    """
    import torch

    _check(state, published_shapes(config))
    with torch.device("meta"):
        module = Decoder(config).module
    ours = module.state_dict()
    heads = {name: block.heads for name, block in module.named_modules() if type(block).__name__ == "Attention"}
    found: dict[str, torch.Tensor] = {}
    for published, here in _names(config, ours).items():
        tensor = state[published].detach().float()
        if len(here) == 1:
            found[here[0]] = tensor.reshape(ours[here[0]].shape)
            continue
        width = len(tensor) // 3
        count = heads[here[0].rpartition(".to_q")[0]]
        parted = (3, count, width // count) if parts_first else (count, 3, width // count)
        apart = tensor.reshape(*parted, -1)
        for k, name in enumerate(here):
            found[name] = (apart[k] if parts_first else apart[:, k]).reshape(ours[name].shape).contiguous()
    return found


def _check(state: Mapping[str, torch.Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse other tensors than those of a network.

    Raises:
        ModelError: see `translate_published`.
    """
    missing = [name for name in wanted if name not in state]
    unknown = [name for name in state if name not in wanted]
    wrong = [name for name in wanted if name in state and tuple(state[name].shape) != wanted[name]]
    if missing or unknown or wrong:
        told = []
        if missing:
            told.append(f"{len(missing)} are missing, the first '{missing[0]}'")
        if unknown:
            told.append(f"{len(unknown)} have no place in it, the first '{unknown[0]}'")
        if wrong:
            first = wrong[0]
            told.append(
                f"{len(wrong)} have other shapes, the first '{first}': {tuple(state[first].shape)}, not {wanted[first]}"
            )
        raise ModelError(f"not the tensors of this network: {'; '.join(told)}")


def load_published(path: str | Path, preset: str | None = None, features: int | None = None, **facts: Any) -> Decoder:
    """Return a decoder with weights that were released with the source; pickled code is refused.

    The source gives vectors to the network as they are, so they are not standardised.

    Args:
        path: of the checkpoint: tensors by published name.
        preset: of `PUBLISHED_PRESETS`; by default the one that has such tensors.
        features: numbers of the vectors that it will be given; what the weights take by default.
        facts: of `DecoderConfig`: whose vectors they are, such as ``model`` and ``layer``.

    Raises:
        ModelError: no such preset, a file of other tensors, or weights that take vectors of another width.
        MissingExtra: diffusers is not installed.
    """
    path = Path(path)
    if preset is not None and preset not in PUBLISHED_PRESETS:
        raise ModelError(f"no published network '{preset}'.{nearest(preset, PUBLISHED_PRESETS)}")
    state = tools.load_state(path)
    chosen = preset or _fitting(state)
    embedding = state.get("ssl_emb.weight")
    taken = (features or 1) if embedding is None else int(embedding.shape[-1])
    if features not in (None, taken):
        raise ModelError(
            f"{path} takes vectors of {taken} numbers, not of {features}: name the layer that it was made for"
        )
    config = decoder_preset(
        chosen, int(chosen.rpartition("-")[2]), taken, conditioning="none" if embedding is None else "add_emb",
        standardise=False, **facts,
    )  # fmt: skip
    try:
        weights = translate_published(config, state, chosen in _PARTS_FIRST)
    except ModelError as error:
        raise ModelError(f"{path} does not hold the network {chosen}: {error}") from None
    decoder = Decoder(config)
    decoder.module.load_state_dict(weights, assign=True)
    decoder.module.eval()
    return decoder


def _fitting(state: Mapping[str, torch.Tensor]) -> str:
    """Return the preset that has most of the names and shapes of a checkpoint."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    matches = {
        preset: sum(
            shapes.get(name) == shape
            for name, shape in published_shapes(decoder_preset(preset, int(preset.rpartition("-")[2]), 1)).items()
        )
        for preset in PUBLISHED_PRESETS
    }
    return max(matches, key=lambda preset: matches[preset])
