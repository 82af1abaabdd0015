"""A diffusion model conditioned on frozen features (RCDM): network, noise schedule, loss, and its files.

The decoder is the U-Net family of ADM through the library ``diffusers``, with ``network="adm"`` its very network; the
condition enters by its embedding added to that of the time step (``add_emb``, as the released code does) or by
conditional batch normalisation (``cond_bn``, as the paper says).

Source: F. Bordes, R. Balestriero and P. Vincent, *High fidelity visualization of what your self-supervised
representation knows about*, TMLR 2022.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.files import write_atomic
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.preprocess import FloatArray

if TYPE_CHECKING:
    import torch

FloatArray64 = NDArray[np.float64]
Conditioning = Literal["add_emb", "cond_bn", "none"]

CONDITIONINGS = ("add_emb", "cond_bn", "none")

DECODER_CONFIG, DECODER_WEIGHTS, DECODER_STATE = "config.json", "model.pt", "running.pt"

DIFFUSION_STEPS = 1000
"""Time steps of the forward process."""


@dataclass(frozen=True)
class DecoderConfig:
    """The shape of a decoder, and what it was made for.

    Attributes:
        size: side of its pictures in pixels, 8 to 256.
        features: numbers of the vectors that it is conditioned on.
        conditioning: how they enter.
        channels, multipliers, blocks: of the U-Net, as in ADM.
        attention: sides of the maps that have self-attention.
        groups: of group normalisation.
        learn_sigma: whether the variance is learnt, between that of the forward and of the posterior process.
        schedule: of the noise.
        dropout: probability.
        network: ``adm`` is the published network: maps are halved and doubled inside residual blocks, the middle has
            attention, and the last convolution of each block begins at zero. ``diffusers`` halves them by a
            convolution of stride 2.
        heads: of attention; of the ``adm`` network alone, and in place of ``head_channels``.
        head_channels: channels of a head of attention.
        enlarges: side of the small pictures that it enlarges, given beside the vector; 0 of a decoder that draws from
            the vector alone.
        standardise: whether vectors are brought to mean 0 and standard deviation 1 first; the paper feeds them as they
            are.
        model, weights_sha256, layer, dataset, data_sha256: whose vectors, and whose pictures.
    """

    size: int
    features: int
    conditioning: Conditioning = "add_emb"
    channels: int = 64
    multipliers: tuple[int, ...] = (1, 2, 2)
    blocks: int = 2
    attention: tuple[int, ...] = (8,)
    groups: int = 16
    learn_sigma: bool = True
    schedule: Literal["linear", "cosine"] = "linear"
    dropout: float = 0.0
    network: Literal["diffusers", "adm"] = "diffusers"
    heads: int = 0
    head_channels: int = 64
    enlarges: int = 0
    standardise: bool = True
    model: str = ""
    weights_sha256: str = ""
    layer: str = ""
    dataset: str = ""
    data_sha256: str = ""


_ADM = {"network": "adm", "attention": (32, 16, 8), "groups": 32}
DECODER_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (), "groups": 8, "learn_sigma": False},
    "small": {"channels": 64, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,), "groups": 16},
    "adm-64": {"channels": 192, "multipliers": (1, 2, 3, 4), "blocks": 3, **_ADM, "schedule": "cosine", "dropout": 0.1},
    "adm-128": {"channels": 256, "multipliers": (1, 1, 2, 3, 4), "blocks": 2, **_ADM, "heads": 4},
    "adm-256": {"channels": 256, "multipliers": (1, 1, 2, 2, 4, 4), "blocks": 2, **_ADM},
}  # fmt: skip
"""``tiny`` and ``small`` are for two cores. ``adm-64``, ``adm-128`` and ``adm-256`` are the published networks of these
sizes: their weights load by `load_published`, those of RCDM are ``adm-128``. Source: P. Dhariwal and A. Nichol,
*Diffusion models beat GANs on image synthesis*, NeurIPS 2021, and the settings of the models released with it."""


class Decoder:
    """A U-Net with a condition, its noise schedule, and the mean and standard deviation of the vectors.

    Args:
        config: of the network.
        mean, std: of the vectors, (D,); 0 and 1 by default.

    Attributes:
        alphas: ᾱ of each time step, float64 (1000,).

    Raises:
        ModelError: settings that make no network.
        MissingExtra: diffusers is not installed.
    """

    def __init__(self, config: DecoderConfig, mean: FloatArray | None = None, std: FloatArray | None = None) -> None:
        import torch

        if config.conditioning not in CONDITIONINGS:
            raise ModelError(f"no conditioning '{config.conditioning}'.{nearest(config.conditioning, CONDITIONINGS)}")
        halvings = len(config.multipliers) - 1
        if not 8 <= config.size <= 256 or config.size % 2**halvings:
            raise ModelError(f"pictures of {config.size} pixels cannot be halved {halvings} times; 8 to 256 is right")
        if config.enlarges and not 4 <= config.enlarges < config.size:
            raise ModelError(
                f"{config.enlarges} pixels cannot be enlarged to {config.size}; 4 to {config.size - 1} can"
            )
        diffusers = tools.need("diffusers", "a decoder of representations", "rcdm")
        self.config = config
        added = config.conditioning == "add_emb"
        self.unet: Any = _unet(config, diffusers)
        self.module = torch.nn.ModuleDict({"unet": self.unet})
        self._norms: list[Any] = []
        if added:
            self.module["embed"] = torch.nn.Linear(config.features, 4 * config.channels)
        elif config.conditioning == "cond_bn":
            self.module["embed"] = torch.nn.Linear(config.features, _SHARED)
            self._norms = _conditional_norms(self.unet)
        width = config.features
        self.mean = torch.zeros(width) if mean is None else torch.from_numpy(np.asarray(mean, np.float32))
        self.std = torch.ones(width) if std is None else torch.from_numpy(np.asarray(std, np.float32))
        betas: dict[str, Any] = (
            {"beta_schedule": "squaredcos_cap_v2"} if config.schedule == "cosine"
            else {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
        )  # fmt: skip
        self.scheduler: Any = diffusers.DDPMScheduler(
            DIFFUSION_STEPS,
            variance_type="learned_range" if config.learn_sigma else "fixed_small",
            clip_sample=True,
            **betas,
        )
        # Products of 1,000 single-precision numbers are off by more than a sampler's step may be.
        self.alphas = alpha_products(config.schedule)
        self.scheduler.alphas_cumprod = torch.from_numpy(self.alphas).float()
        before = np.concatenate([[1.0], self.alphas[:-1]])
        self._schedule = torch.from_numpy(np.stack([self.alphas, before, 1 - self.alphas / before])).float()
        self.device = torch.device("cpu")

    def to(self, where: torch.device) -> Decoder:
        """Move everything to a device."""
        self.device = where
        self.module.to(where)
        self.mean, self.std = self.mean.to(where), self.std.to(where)
        return self

    def predict(
        self, noisy: torch.Tensor, steps: torch.Tensor, vectors: torch.Tensor, small: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the noise, and with it, where it is learnt, the place of the variance: (N, 3 or 6, S, S).

        Args:
            noisy: pictures with noise, −1 to 1 without it, (N, 3, S, S).
            steps: 0 to 999, (N,).
            vectors: as the model gives them, (N, D).
            small: pictures to be enlarged, −1 to 1, (N, 3, E, E); of a decoder that does so alone.
        """
        if self.config.enlarges:
            assert small is not None
            noisy = _beside(noisy, small)
        condition = ((vectors - self.mean) / self.std) if self.config.standardise else vectors
        if self.config.conditioning == "add_emb":
            found: torch.Tensor = self.unet(noisy, steps, class_labels=self.module["embed"](condition)).sample
            return found
        if self._norms:
            shared = self.module["embed"](condition)
            for norm in self._norms:
                norm.condition = shared
        found = self.unet(noisy, steps).sample
        return found

    def schedule_at(self, steps: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return ᾱ_t, ᾱ_(t−1) and β_t of time steps, (N,) each."""
        return tuple(self._schedule.to(steps.device)[:, steps])

    def save(self, folder: Path, weights: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """Write ``config.json`` and ``model.pt``."""

        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.cpu() for name, tensor in (weights or self.module.state_dict()).items()}
        held = {"weights": state, "mean": self.mean.cpu(), "spread": self.std.cpu()}  # the key of files that exist
        tools.save_tensors(folder / DECODER_WEIGHTS, held)
        write_atomic(folder / DECODER_CONFIG, (json.dumps({**asdict(self.config), **facts}, indent=1) + "\n").encode())


def alpha_products(schedule: str) -> FloatArray64:
    """Return ᾱ of all time steps, float64 (1000,).

    Source: J. Ho et al., *Denoising diffusion probabilistic models*, NeurIPS 2020 (``linear``); A. Nichol and
    P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021, equation 17 (``cosine``).

    >>> [round(float(alpha_products(name)[500]), 4) for name in ("linear", "cosine")]
    [0.0778, 0.4923]
    """
    if schedule == "linear":
        products = np.cumprod(1 - np.linspace(1e-4, 0.02, DIFFUSION_STEPS))
    else:
        left = np.cos((np.arange(DIFFUSION_STEPS + 1) / DIFFUSION_STEPS + 0.008) / 1.008 * np.pi / 2) ** 2
        products = np.cumprod(np.maximum(left[1:] / left[:-1], 1 - 0.999))
    return np.asarray(products, np.float64)


_LAST = {"Attention": "to_out.0", "ResnetBlock2D": "conv2", "UNet2DModel": "conv_out"}
"""What begins at zero in the published network, by kind of block."""


def _unet(config: DecoderConfig, diffusers: Any) -> Any:
    """Return the network, untrained."""
    adm = config.network == "adm"
    widths = tuple(config.channels * multiplier for multiplier in config.multipliers)
    sides = [config.size >> level for level in range(len(widths))]
    whole = "ResnetDownsampleBlock2D" if adm else "DownBlock2D", "ResnetUpsampleBlock2D" if adm else "UpBlock2D"
    kinds = [("AttnDownBlock2D", "AttnUpBlock2D") if side in config.attention else whole for side in sides]
    how = "resnet" if adm else "conv"
    unet = diffusers.UNet2DModel(
        sample_size=config.size, in_channels=6 if config.enlarges else 3, out_channels=6 if config.learn_sigma else 3,
        block_out_channels=widths, layers_per_block=config.blocks, down_block_types=tuple(down for down, _ in kinds),
        up_block_types=tuple(up for _, up in reversed(kinds)), norm_num_groups=config.groups,
        resnet_time_scale_shift="scale_shift", dropout=config.dropout, add_attention=adm or bool(config.attention),
        # What divides every width: how many heads share it is said below.
        attention_head_dim=config.channels if adm else min(config.head_channels, widths[-1]),
        attn_norm_num_groups=config.groups if adm else None, downsample_type=how, upsample_type=how,
        class_embed_type="identity" if config.conditioning == "add_emb" else None,
    )  # fmt: skip
    if adm:
        _as_published(unet, config)
    return unet


def _as_published(unet: Any, config: DecoderConfig) -> None:
    """Divide attention among heads as the configuration says, and begin the last layer of each block at zero.

    Raises:
        ModelError: channels that cannot be divided among so many heads.
    """
    import torch

    for block in unet.modules():
        name = type(block).__name__
        if name == "Attention":
            width = block.to_q.out_features
            block.heads = config.heads or max(1, width // config.head_channels)
            if width % block.heads:
                raise ModelError(f"{width} channels cannot be divided among {block.heads} heads of attention")
            block.scale = (width // block.heads) ** -0.5
        if name in _LAST:
            for parameter in block.get_submodule(_LAST[name]).parameters():
                torch.nn.init.zeros_(parameter)


def _beside(noisy: torch.Tensor, small: torch.Tensor) -> torch.Tensor:
    """Return noisy pictures with small ones behind them, brought to their size, (N, 6, S, S)."""
    import torch

    wide = torch.nn.functional.interpolate(small, noisy.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([noisy, wide], 1)


_SHARED = 512
"""Numbers that conditional batch normalisation brings the vectors to first."""


def _conditional_norms(unet: Any) -> list[Any]:
    """Put conditional batch normalisation in the place of every norm inside a residual block; returns them."""
    import torch

    class ConditionalNorm(torch.nn.Module):
        """BatchNorm whose scale and shift are linear in the condition."""

        def __init__(self, channels: int) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1, affine=False)
            self.gain, self.bias = torch.nn.Linear(_SHARED, channels), torch.nn.Linear(_SHARED, channels)
            self.condition: Any = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gain, bias = self.gain(self.condition)[:, :, None, None], self.bias(self.condition)[:, :, None, None]
            found: torch.Tensor = self.norm(x) * (1 + gain) + bias
            return found

    made = []
    for block in list(unet.modules()):
        if type(block).__name__ != "ResnetBlock2D":
            continue
        for name in ("norm1", "norm2"):
            norm = ConditionalNorm(getattr(block, name).num_channels)
            setattr(block, name, norm)
            made.append(norm)
    return made


def load_decoder(folder: str | Path) -> Decoder:
    """Return a trained decoder, on the GPU where there is one.

    Raises:
        ModelError: the folder holds none.
        MissingExtra: PyTorch or diffusers is not installed.
    """
    tools.need("torch", "a decoder of representations", "rcdm")
    folder = Path(folder)
    try:
        data = json.loads((folder / DECODER_CONFIG).read_text(encoding="utf-8"))
        names = DecoderConfig.__dataclass_fields__
        known: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}
        config = DecoderConfig(**known)
        held = tools.load_tensors(folder / DECODER_WEIGHTS, keys=("weights", "mean", "spread"))
    except (OSError, ValueError, TypeError, RuntimeError, ModelError) as error:
        raise ModelError(f"{folder} holds no decoder that `train decoder` wrote: {error}") from None
    decoder = Decoder(config, held["mean"].numpy(), held["spread"].numpy())
    decoder.module.load_state_dict(held["weights"])
    decoder.module.eval()
    return decoder.to(tools.device())


def decoder_loss(
    decoder: Decoder, images: torch.Tensor, vectors: torch.Tensor, steps: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a batch, scalar: ‖ε − ε̂‖², and one term of the variational bound where σ is learnt.

    The bound trains the variance alone: the predicted mean enters it without gradient. Source: A. Nichol and
    P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021, section 3.1.

    Args:
        decoder: to be trained.
        images: −1 to 1, (N, 3, S, S).
        vectors: (N, D).
        steps: 0 to 999, (N,).
        noise: standard normal, as images.
    """
    import torch

    noisy = decoder.scheduler.add_noise(images, noise, steps)
    small = None
    if decoder.config.enlarges:
        small = torch.nn.functional.interpolate(images, (decoder.config.enlarges,) * 2, mode="area")
    found = decoder.predict(noisy, steps, vectors, small).float()
    if not decoder.config.learn_sigma:
        return torch.nn.functional.mse_loss(found, noise)
    predicted, place = found.chunk(2, 1)
    simple = torch.nn.functional.mse_loss(predicted, noise)
    true_mean, true_log = _posterior(decoder, images, noisy, steps)
    mean, log = _reverse(decoder, noisy, predicted.detach(), place, steps)
    apart = 0.5 * (log - true_log + torch.exp(true_log - log) + (true_mean - mean) ** 2 * torch.exp(-log) - 1)
    first = _likelihood(images, mean, 0.5 * log)
    bound = torch.where(steps == 0, first.mean((1, 2, 3)), apart.mean((1, 2, 3))) / math.log(2)
    return simple + bound.mean()


def _coefficients(decoder: Decoder, steps: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return ᾱ_t, ᾱ_(t−1) and β_t, (N, 1, 1, 1) each."""
    return tuple(value.view(-1, 1, 1, 1) for value in decoder.schedule_at(steps))


def _posterior(
    decoder: Decoder, images: torch.Tensor, noisy: torch.Tensor, steps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log variance of q(x_(t−1) | x_t, x_0)."""
    import torch

    now, before, beta = _coefficients(decoder, steps)
    mean = before.sqrt() * beta / (1 - now) * images + (now / before).sqrt() * (1 - before) / (1 - now) * noisy
    return mean, torch.log((beta * (1 - before) / (1 - now)).clamp(min=1e-20))


def _reverse(
    decoder: Decoder, noisy: torch.Tensor, noise: torch.Tensor, place: torch.Tensor, steps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log variance of the learnt p(x_(t−1) | x_t); x_0 is not clipped, as in the source's loss."""
    import torch

    now, before, beta = _coefficients(decoder, steps)
    clean = (noisy - (1 - now).sqrt() * noise) / now.sqrt()
    mean = before.sqrt() * beta / (1 - now) * clean + (now / before).sqrt() * (1 - before) / (1 - now) * noisy
    # At the first step the posterior has no variance; that of the second stands for it, as in the source.
    least = (beta * (1 - before) / (1 - now)).clamp(min=1e-20)
    second = _coefficients(decoder, torch.ones_like(steps))
    floor = second[2] * (1 - second[1]) / (1 - second[0])
    least = torch.where(steps.view(-1, 1, 1, 1) == 0, floor, least)
    weight = (place + 1) / 2
    return mean, weight * torch.log(beta) + (1 - weight) * torch.log(least)


def _likelihood(images: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
    """Return the negative log likelihood of 8-bit pictures under a normal distribution, in nats."""
    import torch

    def below(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    inverse = torch.exp(-log_std)
    upper, lower = (below(inverse * (images - mean + side / 255)) for side in (1, -1))
    inside = torch.where(images < -0.999, upper, torch.where(images > 0.999, 1 - lower, upper - lower))
    return -torch.log(inside.clamp(min=1e-12))


def decoder_preset(name: str, size: int, features: int, **changes: Any) -> DecoderConfig:
    """Return a decoder's settings by name.

    Raises:
        ModelError: there is none of that name, or it is a published network of another size.
    """
    if name not in DECODER_PRESETS:
        raise ModelError(f"no preset '{name}'.{nearest(name, DECODER_PRESETS)}")
    published = name.removeprefix("adm-")
    if published != name and size != int(published):
        raise ModelError(f"{name} is the published network of {published} pixels, not of {size}: --size {published}")
    return replace(DecoderConfig(size, features, **DECODER_PRESETS[name]), **changes)
