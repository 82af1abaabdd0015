"""Pictures of what a representation knows: a diffusion model conditioned on frozen features (RCDM).

Many pictures are drawn for one vector. What they share is in the vector, what varies is not. The decoder is the U-Net
family of ADM through the library ``diffusers``; the condition enters by its embedding added to that of the time step
(``add_emb``, as the released code does) or by conditional batch normalisation (``cond_bn``, as the paper says).

Source: F. Bordes, R. Balestriero and P. Vincent, *High fidelity visualization of what your self-supervised
representation knows about*, TMLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError, SettingError, nearest
from torchmultiverse.models import DIFFUSION_STEPS, Decoder, FloatArray
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import progress_bar

if TYPE_CHECKING:
    import torch

SAMPLERS = ("ddim", "ddpm")


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
    small: NDArray[np.uint8] | None = None,
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
        small: pictures of the vectors that a decoder enlarges, uint8 (N, E, E, 3); none of other decoders.

    Returns:
        uint8 (N, count, S, S, 3).

    Raises:
        ModelError: vectors of another width, no such sampler, or small pictures that are missing or do not fit.
    """
    import torch

    _check_sampling(decoder, vectors, steps, sampler, small)
    times = respaced(steps, sampler)
    side, where = decoder.config.size, decoder.device
    out = np.empty((len(vectors) * count, side, side, 3), np.uint8)
    held = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    coarse = None if small is None else torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1
    jobs = [(row, k) for row in range(len(vectors)) for k in range(count)]
    decoder.module.eval()
    with progress_bar(quiet) as progress, torch.inference_mode():
        bar = progress.add_task("samples", total=len(jobs))
        for start in range(0, len(jobs), batch_size):
            part = jobs[start : start + batch_size]
            draws = [torch.Generator().manual_seed(tools.seed_of(seed, 0 if same_noise else row, k)) for row, k in part]
            noisy = torch.stack([torch.randn(3, side, side, generator=one) for one in draws]).to(where)
            places = [row for row, _ in part]
            condition = held[places].to(where)
            behind = () if coarse is None else (coarse[places].to(where),)
            for time, before in zip(times, [*times[1:], None], strict=True):
                at = torch.full((len(part),), time, device=where, dtype=torch.int64)
                with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                    found = decoder.predict(noisy, at, condition, *behind).float()
                now, previous = float(decoder.alphas[time]), 1.0 if before is None else float(decoder.alphas[before])
                if sampler == "ddim":
                    noisy = ddim_step(found, now, previous, noisy)
                else:
                    noisy = ddpm_step(found, now, previous, noisy, None if before is None else draws)
            images = ((noisy.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
            out[start : start + len(part)] = images.cpu().numpy()
            progress.advance(bar, len(part))
    return out.reshape(len(vectors), count, side, side, 3)


def _check_sampling(
    decoder: Decoder, vectors: FloatArray, steps: int, sampler: str, small: NDArray[np.uint8] | None
) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ModelError, SettingError: see `sample`.
    """
    if vectors.ndim != 2 or vectors.shape[1] != decoder.config.features:
        raise ModelError(f"vectors of shape {vectors.shape}; this decoder takes (N, {decoder.config.features})")
    if sampler not in SAMPLERS:
        raise SettingError(f"no sampler '{sampler}'.{nearest(sampler, SAMPLERS)}")
    if not 1 <= steps <= DIFFUSION_STEPS:
        raise ModelError(f"{steps} steps; 1 to {DIFFUSION_STEPS} is right")
    edge = decoder.config.enlarges
    if (small is None) != (edge == 0) or (small is not None and small.shape != (len(vectors), edge, edge, 3)):
        given = "none" if small is None else f"of shape {small.shape}"
        raise ModelError(
            f"small pictures: {given}; this decoder takes " + (f"(N, {edge}, {edge}, 3)" if edge else "none")
        )


def enlarge(
    decoder: Decoder, vectors: FloatArray, drawn: NDArray[np.uint8], steps: int = 50, sampler: str = "ddim",
    seed: int = 0, quiet: bool = False,
) -> NDArray[np.uint8]:  # fmt: skip
    """Enlarge drawn pictures by a second decoder that knows their vector.

    The source hands pictures of 128 pixels to a published network of 512 with a class at random; this one is given the
    vector in the place of the class.

    Args:
        decoder: one that enlarges.
        vectors: (N, D).
        drawn: of each vector, uint8 (N, K, E, E, 3).
        steps, sampler, seed, quiet: see `sample`.

    Returns:
        uint8 (N, K, S, S, 3).

    Raises:
        ModelError: see `sample`.
    """
    count, each = drawn.shape[:2]
    flat = drawn.reshape(-1, *drawn.shape[2:])
    wide = sample(decoder, np.repeat(vectors, each, 0), 1, steps, sampler, seed, quiet=quiet, small=flat)
    return wide.reshape(count, each, *wide.shape[2:])


def respaced(steps: int, sampler: str) -> list[int]:
    """Return which of the 1,000 steps of training a sampler takes, the noisiest first.

    ``ddim`` counts up from 0 in strides where the number of steps divides 1,000 (50: 980, 960, … 0). Otherwise, and for
    ``ddpm``, they are spaced evenly between 999 and 0, rounded; a single one is 999. Source: P. Dhariwal and A. Nichol,
    *Diffusion models beat GANs on image synthesis*, NeurIPS 2021, and its published respacing, which refuses the other
    numbers of steps for ``ddim``.
    """
    if steps == 1:
        return [DIFFUSION_STEPS - 1]
    if sampler == "ddim" and DIFFUSION_STEPS % steps == 0:
        return list(reversed(range(0, DIFFUSION_STEPS, DIFFUSION_STEPS // steps)))
    return [round((DIFFUSION_STEPS - 1) * k / (steps - 1)) for k in reversed(range(steps))]


def ddim_step(found: torch.Tensor, now: float, previous: float, noisy: torch.Tensor) -> torch.Tensor:
    """Return x_(t−1) of one DDIM step without noise.

    The noise that goes on is the one that leads from the clipped clean picture to x_t; the predicted noise would push
    the picture out of its range again. Source: J. Song, C. Meng and S. Ermon, *Denoising diffusion implicit models*,
    ICLR 2021, equation 12.

    Args:
        found: what the network says, (N, 3 or 6, S, S).
        now, previous: ᾱ_t and ᾱ_(t−1); 1 behind the last step.
        noisy: x_t, (N, 3, S, S).
    """
    clean = ((noisy - math.sqrt(1 - now) * found[:, :3]) / math.sqrt(now)).clamp(-1, 1)
    noise = (noisy - math.sqrt(now) * clean) / math.sqrt(1 - now)
    return math.sqrt(previous) * clean + math.sqrt(1 - previous) * noise


def ddpm_step(
    found: torch.Tensor, now: float, previous: float, noisy: torch.Tensor, draws: Sequence[Any] | None
) -> torch.Tensor:
    """Return x_(t−1) of one ancestral step, each picture with noise of its own generator; of the last, the mean."""
    import torch

    beta = 1 - now / previous
    clean = ((noisy - math.sqrt(1 - now) * found[:, :3]) / math.sqrt(now)).clamp(-1, 1)
    mean = (
        math.sqrt(previous) * beta / (1 - now) * clean + math.sqrt(now / previous) * (1 - previous) / (1 - now) * noisy
    )
    if draws is None:
        return mean
    log: Any = math.log(max(beta * (1 - previous) / (1 - now), 1e-20))
    if found.shape[1] == 6:
        fraction = (found[:, 3:] + 1) / 2
        log = fraction * math.log(beta) + (1 - fraction) * log
    noise = torch.stack([torch.randn(noisy.shape[1:], generator=one) for one in draws]).to(noisy.device)
    return mean + torch.exp(torch.as_tensor(0.5 * log, device=noisy.device)) * noise


def interpolate(one: FloatArray, two: FloatArray, count: int = 8) -> FloatArray:
    """Return vectors from one to another in equal steps, both ends included, (count, D)."""
    fraction = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    return (1 - fraction) * one + fraction * two
