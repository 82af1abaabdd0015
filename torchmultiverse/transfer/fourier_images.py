"""Pictures of a dataset changed in the Fourier domain, by a strength and in a band, or with phases of others.

Source of the changes: N. Kalibhat et al., *Disentangling the effects of data augmentation and format transform in
self-supervised learning of image representations*, 2023; chapter 5 of the thesis, equation 5.1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from torchmultiverse.errors import SettingError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.store import ImageSet, Manifest, manifest_hash
from torchmultiverse.train import (
    AMPLITUDE_FACTORS,
    frequencies,
    phase_shifted,
    pictures_of,
    random_mask,
    random_mixture,
    rescaled,
    spectrum_of,
    swapped,
)

if TYPE_CHECKING:
    import torch

BANDS = ("all", "low", "high")
CUT = 0.125
"""Cycles per pixel that part low frequencies from high ones: a quarter of the highest along an axis."""
FOURIER_CHANGES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"amplitude": (0.5, 1, 2, 4), "phase": (0.2, 0.55, 1.1, 2.2), "frequency": (0.1, 0.3, 0.6, 0.9),
     "mixture": (5, 20, 60, 180)}
)  # fmt: skip
"""Of each change, from weak to strong; see `UNITS`."""
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "amplitude": "spread of the factors on amplitudes, 1 as published",
        "phase": "radians that phases are shifted by; 0.4 to 0.7 published",
        "frequency": "share of frequencies set to 0; up to 0.1 published",
        "mixture": "Gaussians that take frequencies out; 20 published",
    }
)


@dataclass(frozen=True)
class FourierChange:
    """One change of one strength in one band.

    Attributes:
        name: amplitude, phase, frequency or mixture.
        strength: in the unit of `UNITS`; 0 changes nothing.
        band: all frequencies, low or high ones alone; the zero frequency counts as low.
        cut: cycles per pixel that part low from high.

    Raises:
        ModelError: no such change or band.
    """

    name: str
    strength: float
    band: str = "all"
    cut: float = CUT

    def __post_init__(self) -> None:
        if self.name not in FOURIER_CHANGES:
            raise SettingError(f"no Fourier change '{self.name}'.{nearest(self.name, FOURIER_CHANGES)}")
        if self.band not in BANDS:
            raise SettingError(f"no band '{self.band}'.{nearest(self.band, BANDS)}")

    def __call__(self, picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return a picture (C, H, W), float in [0, 1], changed and cut to that range."""
        import torch

        if not self.strength:
            return picture
        height, width = picture.shape[-2:]
        spectrum = spectrum_of(picture)
        if self.name == "phase":
            sign = 1 if float(torch.rand((), generator=generator)) < 0.5 else -1
            made = phase_shifted(spectrum, sign * self.strength)
        else:
            made = rescaled(spectrum, self._factors(spectrum.shape, width, generator))
        if self.band != "all":
            low = frequencies(height, width) <= self.cut
            made = torch.where(low if self.band == "low" else ~low, made, spectrum)
        return pictures_of(made, width).clamp(0, 1)

    def _factors(self, shape: Sequence[int], width: int, generator: torch.Generator) -> torch.Tensor:
        import torch

        height = shape[-2]
        if self.name == "amplitude":
            low, high = AMPLITUDE_FACTORS
            drawn = low + (high - low) * torch.rand(tuple(shape), generator=generator)
            return (1 + self.strength * (drawn - 1)).clamp(min=0)
        if self.name == "frequency":
            return random_mask(height, width, self.strength, generator)
        return random_mixture(height, width, round(self.strength), generator)

    @property
    def facts(self) -> dict[str, Any]:
        """All that it is, as plain data."""
        return {"name": self.name, "strength": self.strength, "band": self.band, "cut": self.cut}


class ChangedImages(ImageSet):
    """Pictures made of those of a dataset, all of one side; features of them are kept by what they are made from.

    Args:
        whole: the dataset.
        pixels: its pictures at one side, uint8 (N, S, S, 3).
        sources: rows of the dataset that each picture is made from, (M, K).
        make: from a place, 0 to M − 1, and its sources' pictures, float (K, 3, S, S) in [0, 1], to a picture.
        facts: of the change, as plain data.
    """

    keeps_pixels = False

    def __init__(
        self, whole: ImageSet, pixels: NDArray[np.uint8], sources: NDArray[np.int64],
        make: Callable[[int, torch.Tensor], torch.Tensor], facts: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._whole, self._pixels, self._sources, self._make = whole, pixels, sources, make
        self._facts = {**facts, "side": int(pixels.shape[1])}
        self.has_bytes = whole.has_bytes
        digest = hashlib.sha256(np.ascontiguousarray(sources).tobytes()).hexdigest()
        self._manifest = Manifest(identity={**whole.manifest.identity, "fourier": {**self._facts, "rows": digest}})
        self._manifest.set(name=whole.manifest.name, count=len(sources), of=manifest_hash(whole))

    @property
    @override
    def manifest(self) -> Manifest:
        """That of the dataset, with what was changed."""
        return self._manifest

    @override
    def __len__(self) -> int:
        return len(self._sources)

    @override
    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the first sources."""
        return self._whole.table(columns).take(pa.array(self._sources[:, 0]))

    @override
    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        import torch

        given = torch.from_numpy(self._pixels[self._sources[index]]).permute(0, 3, 1, 2).float() / 255
        made = self._make(index, given)
        return Image.fromarray((made * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())

    @override
    def image_bytes(self, index: int) -> bytes:
        """Return what a picture follows from: the change, and the bytes of its sources."""
        about = json.dumps(self._facts, sort_keys=True).encode()
        return b"fourier " + about + b"\0" + b"\0".join(self._whole.image_bytes(int(r)) for r in self._sources[index])


def changed_images(
    whole: ImageSet, pixels: NDArray[np.uint8], rows: NDArray[np.int64], change: FourierChange, seed: int = 0
) -> ChangedImages:
    """Return pictures after one change; each has draws of its own, which follow from the seed and its row.

    Args:
        whole: the dataset.
        pixels: its pictures at one side, uint8 (N, S, S, 3).
        rows: which of them, (M,).
        change: what is done.
        seed: of the draws.
    """
    import torch

    def make(index: int, given: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(tools.seed_of(seed, int(rows[index])))
        return change(given[0], generator)

    return ChangedImages(whole, pixels, rows[:, None], make, {**change.facts, "seed": seed})


def swapped_images(
    whole: ImageSet, pixels: NDArray[np.uint8], phase: NDArray[np.int64], amplitude: NDArray[np.int64]
) -> ChangedImages:
    """Return pictures with the phases of some rows and the amplitudes of others, (M,) each."""

    def make(index: int, given: torch.Tensor) -> torch.Tensor:
        return swapped(given[0], given[1]).clamp(0, 1)

    return ChangedImages(whole, pixels, np.stack([phase, amplitude], 1), make, {"name": "swap"})
