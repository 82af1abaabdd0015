"""Changes of pictures in the Fourier domain, as augmentations of training and as questions to a model.

A spectrum here is what ``torch.fft.rfft2`` gives of the last two axes, (…, H, W // 2 + 1): its rows are the vertical
frequencies 0, 1, …, −1 over H, its columns the horizontal ones from 0 up. All functions are pure; random draws are
those of a generator.

Source: N. Kalibhat et al., *Disentangling the effects of data augmentation and format transform in self-supervised
learning of image representations*, 2023; chapter 5 of the thesis, equation 5.1, with its settings.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Any

import torch

from torchmultiverse.errors import SettingError, nearest
from torchmultiverse.train.settings import FOURIER

PROBABILITIES = MappingProxyType({"amplitude": 0.2, "phase": 0.2, "frequency": 0.5, "mixture": 0.2})
"""How often each change is made to a view."""
AMPLITUDE_FACTORS = (0.8, 1.75)
"""Amplitudes are multiplied by a number drawn from here, one for each frequency and channel."""
ANGLE = (0.4, 0.7)
"""Radians by which all phases are shifted, up or down."""
MASKED = (0.01, 0.1)
"""Share of frequencies that are set to 0."""
KERNELS = 20
"""Gaussians of a mixture mask."""
SPREAD = (10.0, 15.0)
"""Their standard deviations, in frequencies of a picture of 224 pixels; in proportion at other sizes."""
_PUBLISHED = 224


def spectrum_of(pictures: torch.Tensor) -> torch.Tensor:
    """Return the spectrum of pictures (…, H, W), float: (…, H, W // 2 + 1), complex."""
    made: torch.Tensor = torch.fft.rfft2(pictures)
    return made


def pictures_of(spectrum: torch.Tensor, width: int) -> torch.Tensor:
    """Return the pictures of a spectrum, (…, H, W) float, whatever range their values have.

    A real picture's spectrum is its own mirror image in the columns 0 and, where W is even, W / 2. Changes may break
    that; the part that no real picture has is taken out first, since libraries differ in what they make of it.

    Args:
        spectrum: (…, H, W // 2 + 1).
        width: W, which the spectrum does not say.

    Example:
        >>> import torch
        >>> x = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0))
        >>> bool((pictures_of(spectrum_of(x), 7) - x).abs().max() < 4e-7)
        True
    """
    edges = [0, width // 2] if width % 2 == 0 and width > 1 else [0]
    columns = spectrum[..., edges]
    mirrored = columns.flip(-2).roll(1, -2).conj()  # row u holds what row −u had
    spectrum = spectrum.clone()
    spectrum[..., edges] = (columns + mirrored) / 2
    made: torch.Tensor = torch.fft.irfft2(spectrum, s=(spectrum.shape[-2], width))
    return made


def rescaled(spectrum: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Return a spectrum with its amplitudes multiplied by factors ≥ 0 that broadcast to it; phases stay."""
    return spectrum * factors


def phase_shifted(spectrum: torch.Tensor, angle: float | torch.Tensor) -> torch.Tensor:
    """Return a spectrum with all phases moved by an angle in radians.

    The picture of it is ``cos(angle) * x − sin(angle) * H(x)`` with H the Hilbert transform along rows: brightness
    falls by the cosine, edges appear.
    """
    turn = torch.as_tensor(angle, dtype=torch.float32, device=spectrum.device)
    return spectrum * torch.polar(torch.ones_like(turn), turn)


def random_mask(height: int, width: int, share: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return a mask (H, W // 2 + 1), float, in which a share of the frequencies is 0 and the others are 1; 0 stays.

    Args:
        height, width: of the picture.
        share: 0 to 1, of all frequencies but the zero one, which is never masked.
        generator: of the draw; PyTorch's own by default.
    """
    wide = width // 2 + 1
    mask = torch.ones(height * wide)
    chosen = torch.randperm(height * wide - 1, generator=generator)[: round(share * (height * wide - 1))]
    mask[1 + chosen] = 0
    return mask.view(height, wide)


def mixture_mask(
    height: int, width: int, centres: torch.Tensor, spreads: torch.Tensor, passes: bool = False, keep_zero: bool = True
) -> torch.Tensor:
    """Return a mask (H, W // 2 + 1), float in [0, 1], of Gaussians around some frequencies.

    Args:
        height, width: of the picture.
        centres: (K, 2), rows and columns of the spectrum.
        spreads: (K, 2), standard deviations in the same unit.
        passes: what is near a centre is kept and the rest is taken out; by default the other way round. The source does
            not say which; its published implementations take out.
        keep_zero: the zero frequency, which is the mean of the picture, is kept: without this every sixth picture
            loses more than half of its brightness.
    """
    rows, columns = torch.arange(height).float(), torch.arange(width // 2 + 1).float()
    # A Gaussian of two axes is a product of two of one: K × (H + W) exponentials and not K × H × W.
    down = torch.exp(-((rows - centres[:, :1]) ** 2) / (2 * spreads[:, :1] ** 2))
    across = torch.exp(-((columns - centres[:, 1:]) ** 2) / (2 * spreads[:, 1:] ** 2))
    kept = (1 - down[:, :, None] * across[:, None, :]).prod(0)
    mask = 1 - kept if passes else kept
    if keep_zero:
        mask[0, 0] = 1
    return mask


def random_mixture(
    height: int, width: int, kernels: int = KERNELS, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return a `mixture_mask` of Gaussians at random places, with the source's spreads in proportion to the height."""
    wide = width // 2 + 1
    places = torch.rand(kernels, 2, generator=generator) * torch.tensor([height, wide])
    low, high = (value * height / _PUBLISHED for value in SPREAD)
    spreads = low + (high - low) * torch.rand(kernels, 2, generator=generator)
    return mixture_mask(height, width, places, spreads)


def frequencies(height: int, width: int) -> torch.Tensor:
    """Return the frequency of each place of a spectrum, (H, W // 2 + 1), in cycles per pixel, 0 to about 0.71."""
    return torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])


def swapped(phase: torch.Tensor, amplitude: torch.Tensor) -> torch.Tensor:
    """Return pictures with the phases of some and the amplitudes of others, (…, H, W), not yet cut to [0, 1].

    Args:
        phase, amplitude: pictures (…, H, W) of one size.

    Example:
        >>> import torch
        >>> x = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> bool((swapped(x, x) - x).abs().max() < 1e-6)
        True
    """
    one, two = spectrum_of(phase), spectrum_of(amplitude)
    return pictures_of(torch.polar(two.abs(), one.angle()), phase.shape[-1])


class FourierAugmentation:
    """Changes a picture in the Fourier domain at random, as views of a training are; draws are PyTorch's own.

    Args:
        chosen: of `torchmultiverse.train.settings.FOURIER`.
        probabilities: how often each is made; those of the source by default.

    Raises:
        ModelError: no such change.
    """

    def __init__(self, chosen: Collection[str], probabilities: Any = None) -> None:
        for name in chosen:
            if name not in FOURIER:
                raise SettingError(f"no Fourier augmentation '{name}'.{nearest(name, FOURIER)}")
        self._chosen = [name for name in FOURIER if name in chosen]  # in one order, whatever was written
        self._probabilities = {**PROBABILITIES, **(probabilities or {})}

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """Return a picture (C, H, W), uint8 or float in [0, 1], changed and cut to its range, of the same type."""
        wanted = [name for name in self._chosen if float(torch.rand(())) < self._probabilities[name]]
        if not wanted:
            return picture
        whole = picture.dtype == torch.uint8
        pixels = picture.float() / 255 if whole else picture
        spectrum = spectrum_of(pixels)
        for name in wanted:
            spectrum = _changed(name, spectrum, pixels.shape[-1])
        made = pictures_of(spectrum, pixels.shape[-1]).clamp(0, 1)  # before any rounding: 256 must not become 0
        return (made * 255).round().to(torch.uint8) if whole else made


def _changed(name: str, spectrum: torch.Tensor, width: int) -> torch.Tensor:
    """Return a spectrum after one random change of the source's strength."""
    height = spectrum.shape[-2]
    if name == "amplitude":
        return rescaled(
            spectrum, AMPLITUDE_FACTORS[0] + (AMPLITUDE_FACTORS[1] - AMPLITUDE_FACTORS[0]) * torch.rand(spectrum.shape)
        )
    if name == "phase":
        angle = ANGLE[0] + (ANGLE[1] - ANGLE[0]) * torch.rand(())
        return phase_shifted(spectrum, angle if float(torch.rand(())) < 0.5 else -angle)
    if name == "frequency":
        share = MASKED[0] + (MASKED[1] - MASKED[0]) * float(torch.rand(()))
        return rescaled(spectrum, random_mask(height, width, share))
    return rescaled(spectrum, random_mixture(height, width))
