"""Pictures of what a representation knows: a diffusion model conditioned on frozen features (RCDM).

Many pictures are drawn for one vector. What they share is in the vector, what varies is not. The decoder is the U-Net
family of ADM through the library ``diffusers``; the condition enters by its embedding added to that of the time step
(``add_emb``, as the released code does) or by conditional batch normalisation (``cond_bn``, as the paper says).

Source: F. Bordes, R. Balestriero and P. Vincent, *High fidelity visualization of what your self-supervised
representation knows about*, TMLR 2022.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError, nearest
from torchmultiverse.evaluate.encode import progress_bar
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.store.files import write_atomic

if TYPE_CHECKING:
    import torch

Conditioning = Literal["add_emb", "cond_bn", "none"]
CONDITIONINGS = ("add_emb", "cond_bn", "none")
SAMPLERS = ("ddim", "ddpm")
CONFIG, WEIGHTS, RUNNING = "config.json", "model.pt", "running.pt"
STEPS = 1000
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
        dropout: share.
        standardise: whether vectors are brought to mean 0 and spread 1 first; the paper feeds them as they are.
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
    standardise: bool = True
    model: str = ""
    weights_sha256: str = ""
    layer: str = ""
    dataset: str = ""
    data_sha256: str = ""


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {"channels": 16, "multipliers": (1, 2, 2), "blocks": 1, "attention": (), "groups": 8, "learn_sigma": False},
    "small": {"channels": 64, "multipliers": (1, 2, 2), "blocks": 1, "attention": (8,), "groups": 16},
    "64": {"channels": 192, "multipliers": (1, 2, 3, 4), "blocks": 3, "attention": (32, 16, 8), "groups": 32,
           "schedule": "cosine", "dropout": 0.1},
    "128": {"channels": 256, "multipliers": (1, 1, 2, 3, 4), "blocks": 2, "attention": (32, 16, 8), "groups": 32},
    "256": {"channels": 256, "multipliers": (1, 1, 2, 2, 4, 4), "blocks": 2, "attention": (32, 16, 8), "groups": 32},
}  # fmt: skip
"""``64``, ``128`` and ``256`` have the sources' widths, blocks and schedules, but are not their networks: `diffusers`
places attention, its heads and the resampling otherwise, so published checkpoints do not fit and figures differ.
``tiny`` and ``small`` are for two cores."""


class Decoder:
    """A U-Net with a condition, its noise schedule, and the mean and spread of the vectors.

    Args:
        config: of the network.
        mean, spread: of the vectors, (D,); 0 and 1 by default.

    Raises:
        ModelError: settings that make no network.
        MissingExtra: diffusers is not installed.
    """

    def __init__(self, config: DecoderConfig, mean: FloatArray | None = None, spread: FloatArray | None = None) -> None:
        import torch

        if config.conditioning not in CONDITIONINGS:
            raise ModelError(f"no conditioning '{config.conditioning}'.{nearest(config.conditioning, CONDITIONINGS)}")
        halvings = len(config.multipliers) - 1
        if not 8 <= config.size <= 256 or config.size % 2**halvings:
            raise ModelError(f"pictures of {config.size} pixels cannot be halved {halvings} times; 8 to 256 is right")
        diffusers = tools.need("diffusers", "a decoder of representations", "rcdm")
        self.config = config
        widths = tuple(config.channels * multiplier for multiplier in config.multipliers)
        sides = [config.size >> level for level in range(len(widths))]
        down = tuple("AttnDownBlock2D" if side in config.attention else "DownBlock2D" for side in sides)
        up = tuple("AttnUpBlock2D" if side in config.attention else "UpBlock2D" for side in reversed(sides))
        added = config.conditioning == "add_emb"
        self.unet: Any = diffusers.UNet2DModel(
            sample_size=config.size, in_channels=3, out_channels=6 if config.learn_sigma else 3,
            block_out_channels=widths, layers_per_block=config.blocks, down_block_types=down, up_block_types=up,
            norm_num_groups=config.groups, resnet_time_scale_shift="scale_shift", dropout=config.dropout,
            add_attention=bool(config.attention), attention_head_dim=min(64, widths[-1]),
            class_embed_type="identity" if added else None,
        )  # fmt: skip
        self.module = torch.nn.ModuleDict({"unet": self.unet})
        self._norms: list[Any] = []
        if added:
            self.module["embed"] = torch.nn.Linear(config.features, 4 * config.channels)
        elif config.conditioning == "cond_bn":
            self.module["embed"] = torch.nn.Linear(config.features, _SHARED)
            self._norms = _conditional_norms(self.unet)
        width = config.features
        self.mean = torch.zeros(width) if mean is None else torch.from_numpy(np.asarray(mean, np.float32))
        self.spread = torch.ones(width) if spread is None else torch.from_numpy(np.asarray(spread, np.float32))
        betas: dict[str, Any] = (
            {"beta_schedule": "squaredcos_cap_v2"} if config.schedule == "cosine"
            else {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
        )  # fmt: skip
        self.scheduler: Any = diffusers.DDPMScheduler(
            STEPS, variance_type="learned_range" if config.learn_sigma else "fixed_small", clip_sample=True, **betas
        )
        self.device = torch.device("cpu")

    def to(self, where: torch.device) -> Decoder:
        """Move everything to a device."""
        self.device = where
        self.module.to(where)
        self.mean, self.spread = self.mean.to(where), self.spread.to(where)
        return self

    def predict(self, noisy: torch.Tensor, steps: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Return the noise, and with it, where it is learnt, the place of the variance: (N, 3 or 6, S, S).

        Args:
            noisy: pictures with noise, −1 to 1 without it, (N, 3, S, S).
            steps: 0 to 999, (N,).
            vectors: as the model gives them, (N, D).
        """
        condition = ((vectors - self.mean) / self.spread) if self.config.standardise else vectors
        if self.config.conditioning == "add_emb":
            found: torch.Tensor = self.unet(noisy, steps, class_labels=self.module["embed"](condition)).sample
            return found
        if self._norms:
            shared = self.module["embed"](condition)
            for norm in self._norms:
                norm.condition = shared
        found = self.unet(noisy, steps).sample
        return found

    def save(self, folder: Path, weights: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """Write ``config.json`` and ``model.pt``."""

        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.cpu() for name, tensor in (weights or self.module.state_dict()).items()}
        held = {"weights": state, "mean": self.mean.cpu(), "spread": self.spread.cpu()}
        tools.save_tensors(folder / WEIGHTS, held)
        write_atomic(folder / CONFIG, (json.dumps({**asdict(self.config), **facts}, indent=1) + "\n").encode())


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
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        names = DecoderConfig.__dataclass_fields__
        known: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in names}
        config = DecoderConfig(**known)
        held = tools.load_tensors(folder / WEIGHTS, keys=("weights", "mean", "spread"))
    except (OSError, ValueError, TypeError, RuntimeError, ModelError) as error:
        raise ModelError(f"{folder} holds no decoder that `rcdm train` wrote: {error}") from None
    decoder = Decoder(config, held["mean"].numpy(), held["spread"].numpy())
    decoder.module.load_state_dict(held["weights"])
    decoder.module.eval()
    return decoder.to(tools.device())


def loss_of(
    decoder: Decoder, pictures: torch.Tensor, vectors: torch.Tensor, steps: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a batch, scalar: ‖ε − ε̂‖², and one term of the variational bound where σ is learnt.

    The bound trains the variance alone: the predicted mean enters it without gradient. Source: A. Nichol and
    P. Dhariwal, *Improved denoising diffusion probabilistic models*, ICML 2021, section 3.1.

    Args:
        decoder: to be trained.
        pictures: −1 to 1, (N, 3, S, S).
        vectors: (N, D).
        steps: 0 to 999, (N,).
        noise: standard normal, as pictures.
    """
    import torch

    noisy = decoder.scheduler.add_noise(pictures, noise, steps)
    found = decoder.predict(noisy, steps, vectors).float()
    if not decoder.config.learn_sigma:
        return torch.nn.functional.mse_loss(found, noise)
    said, place = found.chunk(2, 1)
    simple = torch.nn.functional.mse_loss(said, noise)
    true_mean, true_log = _posterior(decoder, pictures, noisy, steps)
    mean, log = _reverse(decoder, noisy, said.detach(), place, steps)
    apart = 0.5 * (log - true_log + torch.exp(true_log - log) + (true_mean - mean) ** 2 * torch.exp(-log) - 1)
    first = _likelihood(pictures, mean, 0.5 * log)
    bound = torch.where(steps == 0, first.mean((1, 2, 3)), apart.mean((1, 2, 3))) / math.log(2)
    return simple + bound.mean()


def _coefficients(decoder: Decoder, steps: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return ᾱ_t, ᾱ_(t−1) and β_t, (N, 1, 1, 1) each."""
    import torch

    every = decoder.scheduler.alphas_cumprod.to(steps.device)
    now = every[steps]
    before = torch.where(steps > 0, every[(steps - 1).clamp(min=0)], torch.ones_like(now))
    return tuple(value.view(-1, 1, 1, 1) for value in (now, before, 1 - now / before))


def _posterior(
    decoder: Decoder, pictures: torch.Tensor, noisy: torch.Tensor, steps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and log variance of q(x_(t−1) | x_t, x_0)."""
    import torch

    now, before, beta = _coefficients(decoder, steps)
    mean = before.sqrt() * beta / (1 - now) * pictures + (now / before).sqrt() * (1 - before) / (1 - now) * noisy
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
    share = (place + 1) / 2
    return mean, share * torch.log(beta) + (1 - share) * torch.log(least)


def _likelihood(pictures: torch.Tensor, mean: torch.Tensor, log_spread: torch.Tensor) -> torch.Tensor:
    """Return the negative log likelihood of 8-bit pictures under a normal distribution, in nats."""
    import torch

    def below(x: torch.Tensor) -> torch.Tensor:
        return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    inverse = torch.exp(-log_spread)
    upper, lower = (below(inverse * (pictures - mean + side / 255)) for side in (1, -1))
    inside = torch.where(pictures < -0.999, upper, torch.where(pictures > 0.999, 1 - lower, upper - lower))
    return -torch.log(inside.clamp(min=1e-12))


def train_decoder(
    pixels: NDArray[np.uint8],
    vectors: FloatArray,
    config: DecoderConfig,
    out: str | Path,
    steps: int = 10_000,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    ema: float = 0.9999,
    seed: int = 0,
    flip: FloatArray | None = None,
    every: int = 1000,
    facts: Mapping[str, Any] | None = None,
    after: Callable[[int, Decoder], None] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a decoder from vectors to pictures; a run that was interrupted is continued by the same call.

    Args:
        pixels: uint8 (N, S, S, 3).
        vectors: of the same pictures, (N, D).
        config: of the decoder.
        out: folder to write.
        steps, batch_size, learning_rate: of AdamW at a constant rate, as in the source.
        ema: of the weights that are kept; averaged over fewer steps at first.
        seed: of first weights, order, steps and noise.
        flip: vectors of the mirrored pictures, (N, D): each picture is then mirrored half of the time.
        every: steps after which the run is saved.
        facts: written into ``config.json``.
        after: called with the steps done and the decoder (of averaged weights) whenever the run is saved.
        quiet: show no bar.

    Returns:
        The folder.

    Raises:
        DatasetError: pictures and vectors that do not fit, or another decoder in the folder.
        ModelError: the loss is no longer finite.
        MissingExtra: diffusers is not installed.
    """
    import torch

    if pixels.shape[1:] != (config.size, config.size, 3) or vectors.shape != (len(pixels), config.features):
        raise DatasetError(
            f"pictures {pixels.shape} and vectors {vectors.shape} do not fit a decoder of {config.size} pixels and "
            f"{config.features} features"
        )
    folder, where = Path(out), tools.device()
    training = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "ema": ema, "seed": seed,
                "pictures": len(pixels), **(facts or {})}  # fmt: skip
    spread = vectors.std(0)
    spread = np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, 1).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = Decoder(config, vectors.mean(0), spread).to(where)
    known = {**asdict(config), **training}
    if (folder / CONFIG).exists() and json.loads((folder / CONFIG).read_text()) != json.loads(json.dumps(known)):
        raise DatasetError(f"{folder} holds a decoder that was trained otherwise; choose another folder")
    if (folder / WEIGHTS).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / CONFIG, (json.dumps(known, indent=1) + "\n").encode())
    optimizer = torch.optim.AdamW(decoder.module.parameters(), learning_rate, weight_decay=0.0)
    average = {name: tensor.detach().clone() for name, tensor in decoder.module.state_dict().items()}
    done = 0
    if (folder / RUNNING).exists():
        kept = tools.load_tensors(
            folder / RUNNING, where, ("weights", "optimizer", "average", "steps"),
            "; delete it to train from the beginning",
        )  # fmt: skip
        decoder.module.load_state_dict(kept["weights"])
        optimizer.load_state_dict(kept["optimizer"])
        average, done = kept["average"], int(kept["steps"])
    pictures = torch.from_numpy(pixels)
    features = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    mirrored = None if flip is None else torch.from_numpy(np.ascontiguousarray(flip, np.float32))
    with progress_bar(quiet) as progress:
        bar = progress.add_task("decoder", total=steps, completed=done, unit="steps")
        decoder.module.train()
        while done < steps:
            rng = np.random.default_rng((seed, done))
            noise_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
            rows = torch.from_numpy(rng.integers(0, len(pixels), min(batch_size, len(pixels))))
            batch = pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
            condition = features[rows]
            if mirrored is not None:
                turned = torch.from_numpy(rng.random(len(rows)) < 0.5)
                batch = torch.where(turned[:, None, None, None], batch.flip(-1), batch)
                condition = torch.where(turned[:, None], mirrored[rows], condition)
            times = torch.from_numpy(rng.integers(0, STEPS, len(rows)))
            noise = torch.randn(batch.shape, generator=noise_rng)
            batch, condition, times, noise = (one.to(where) for one in (batch, condition, times, noise))
            with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                loss = loss_of(decoder, batch, condition, times, noise)
            if not torch.isfinite(loss):
                raise ModelError(f"the loss is {loss.item()} at step {done + 1}; lower the rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
            keep = min(ema, (1 + done) / (10 + done))
            with torch.no_grad():
                for name, tensor in decoder.module.state_dict().items():
                    if tensor.is_floating_point():
                        average[name].lerp_(tensor, 1 - keep)
                    else:
                        average[name].copy_(tensor)
            progress.update(bar, advance=1, description=f"decoder, loss {loss.item():.3f}")
            if done % every == 0 and done < steps:
                running = {
                    "weights": decoder.module.state_dict(), "optimizer": optimizer.state_dict(), "average": average,
                    "steps": done,
                }  # fmt: skip
                tools.save_tensors(folder / RUNNING, running)
                if after is not None:
                    live = {name: tensor.clone() for name, tensor in decoder.module.state_dict().items()}
                    decoder.module.load_state_dict(average)
                    decoder.module.eval()
                    after(done, decoder)
                    decoder.module.load_state_dict(live)
                    decoder.module.train()
    decoder.save(folder, average, **training)
    (folder / RUNNING).unlink(missing_ok=True)
    return folder


def sample(
    decoder: Decoder,
    vectors: FloatArray,
    count: int = 1,
    steps: int = 50,
    sampler: str = "ddim",
    seed: int = 0,
    same_noise: bool = False,
    batch_size: int = 256,
    quiet: bool = False,
) -> NDArray[np.uint8]:
    """Draw pictures for vectors.

    Args:
        decoder: trained.
        vectors: (N, D).
        count: pictures of each vector.
        steps: of the sampler, at most 1,000.
        sampler: ``ddim`` (no noise after the first) or ``ddpm`` (ancestral); both on the steps of `respaced`, and with
            the clean picture that a step predicts clipped to −1 … 1.
        seed: of all noise: the k-th picture of the n-th vector does not depend on the batch.
        same_noise: begin the k-th pictures of all vectors from the same noise, for interpolations.
        batch_size: pictures at once.
        quiet: show no bar.

    Returns:
        uint8 (N, count, S, S, 3).

    Raises:
        ModelError: vectors of another width, or no such sampler.
    """
    import torch

    if vectors.ndim != 2 or vectors.shape[1] != decoder.config.features:
        raise ModelError(f"vectors of shape {vectors.shape}; this decoder takes (N, {decoder.config.features})")
    if sampler not in SAMPLERS:
        raise ModelError(f"no sampler '{sampler}'.{nearest(sampler, SAMPLERS)}")
    if not 1 <= steps <= STEPS:
        raise ModelError(f"{steps} steps; 1 to {STEPS} is right")
    times = respaced(steps, sampler)
    side, where = decoder.config.size, decoder.device
    out = np.empty((len(vectors) * count, side, side, 3), np.uint8)
    held = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    jobs = [(row, k) for row in range(len(vectors)) for k in range(count)]
    decoder.module.eval()
    with progress_bar(quiet) as progress, torch.inference_mode():
        bar = progress.add_task("samples", total=len(jobs))
        for start in range(0, len(jobs), batch_size):
            part = jobs[start : start + batch_size]
            draws = [torch.Generator().manual_seed(tools.seed_of(seed, 0 if same_noise else row, k)) for row, k in part]
            noisy = torch.stack([torch.randn(3, side, side, generator=one) for one in draws]).to(where)
            condition = held[[row for row, _ in part]].to(where)
            every = decoder.scheduler.alphas_cumprod.to(where)
            for time, before in zip(times, [*times[1:], None], strict=True):
                at = torch.full((len(part),), time, device=where, dtype=torch.int64)
                with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                    found = decoder.predict(noisy, at, condition).float()
                previous = torch.ones((), device=where) if before is None else every[before]
                if sampler == "ddim":
                    noisy = _deterministic(found, every[time], previous, noisy)
                else:
                    noisy = _ancestral(found, every[time], previous, noisy, None if before is None else draws)
            pictures = ((noisy.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
            out[start : start + len(part)] = pictures.cpu().numpy()
            progress.advance(bar, len(part))
    return out.reshape(len(vectors), count, side, side, 3)


def respaced(steps: int, sampler: str) -> list[int]:
    """Return which of the 1,000 steps of training a sampler takes, the noisiest first.

    ``ddim`` counts up from 0 in strides where the number of steps divides 1,000 (50: 980, 960, … 0). Otherwise, and for
    ``ddpm``, they are spaced evenly between 999 and 0, rounded; a single one is 999. Source: P. Dhariwal and A. Nichol,
    *Diffusion models beat GANs on image synthesis*, NeurIPS 2021, and its published respacing, which refuses the other
    numbers of steps for ``ddim``.
    """
    if steps == 1:
        return [STEPS - 1]
    if sampler == "ddim" and STEPS % steps == 0:
        return list(reversed(range(0, STEPS, STEPS // steps)))
    return [round((STEPS - 1) * k / (steps - 1)) for k in reversed(range(steps))]


def _deterministic(found: torch.Tensor, now: torch.Tensor, previous: torch.Tensor, noisy: torch.Tensor) -> torch.Tensor:
    """Return x_(t−1) of one DDIM step without noise, ᾱ_t and ᾱ_(t−1) given.

    The noise that goes on is the one that leads from the clipped clean picture to x_t; the predicted noise would push
    the picture out of its range again. Source: J. Song, C. Meng and S. Ermon, *Denoising diffusion implicit models*,
    ICLR 2021, equation 12.
    """
    clean = ((noisy - (1 - now).sqrt() * found[:, :3]) / now.sqrt()).clamp(-1, 1)
    noise = (noisy - now.sqrt() * clean) / (1 - now).sqrt()
    return previous.sqrt() * clean + (1 - previous).sqrt() * noise


def _ancestral(
    found: torch.Tensor, now: torch.Tensor, previous: torch.Tensor, noisy: torch.Tensor, draws: Sequence[Any] | None
) -> torch.Tensor:
    """Return x_(t−1) of one ancestral step, each picture with noise of its own generator; of the last, the mean."""
    import torch

    beta = 1 - now / previous
    clean = ((noisy - (1 - now).sqrt() * found[:, :3]) / now.sqrt()).clamp(-1, 1)
    mean = previous.sqrt() * beta / (1 - now) * clean + (now / previous).sqrt() * (1 - previous) / (1 - now) * noisy
    if draws is None:
        return mean
    least = torch.log((beta * (1 - previous) / (1 - now)).clamp(min=1e-20))
    log = least
    if found.shape[1] == 6:
        share = (found[:, 3:] + 1) / 2
        log = share * torch.log(beta) + (1 - share) * least
    noise = torch.stack([torch.randn(noisy.shape[1:], generator=one) for one in draws]).to(noisy.device)
    return mean + torch.exp(0.5 * log) * noise


def interpolate(one: FloatArray, two: FloatArray, count: int = 8) -> FloatArray:
    """Return vectors from one to another in equal steps, both ends included, (count, D)."""
    share = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    return (1 - share) * one + share * two


def preset(name: str, size: int, features: int, **changes: Any) -> DecoderConfig:
    """Return a decoder's settings by name.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in PRESETS:
        raise ModelError(f"no preset '{name}'.{nearest(name, PRESETS)}")
    return replace(DecoderConfig(size, features, **PRESETS[name]), **changes)
