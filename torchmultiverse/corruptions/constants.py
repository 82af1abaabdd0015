"""The constants of every type of corruption, for severities 1 to 5, at pictures whose shorter side is 224 pixels.

Lengths in pixels (``px`` in the comments) scale with the shorter side over 224; amplitudes, shares and qualities do
not.

Sources: D. Hendrycks and T. Dietterich, *Benchmarking neural network robustness to common corruptions and
perturbations*, ICLR 2019, and its released repository hendrycks/robustness (Apache-2.0) at 8190fe3; O. Kar et al.,
*3D common corruptions and data augmentation*, CVPR 2022, and the values its repository states.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SIDE = 224
"""Pixels of the shorter side for which lengths are given."""

Constants = tuple[float, ...]

PUBLISHED: Mapping[str, tuple[Constants, ...]] = MappingProxyType({
    # standard deviation of what is added; photons at white; share of values that are replaced
    "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    "shot_noise": ((60,), (25,), (12,), (5,), (3,)),
    "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    # radius px, standard deviation of the smoothing of its edge px
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    # standard deviation px, reach of an exchange px, passes
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    # half the taps px, standard deviation px
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    # end and step of the magnifications, which begin at 1
    "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    # mean, standard deviation, magnification, threshold, half the taps px, standard deviation px, share of the picture
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    # share of the picture, share of the ice
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    # amount, decay of roughness by octave
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    # what is added to the value of HSV; factor about the mean
    "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    # displacement px, its smoothness px, displacement of the corners of the affine map px. 244 is in the release
    "elastic_transform": (
        (244 * 2, 244 * 0.7, 244 * 0.1), (244 * 2, 244 * 0.08, 244 * 0.2), (244 * 0.05, 244 * 0.01, 244 * 0.02),
        (244 * 0.07, 244 * 0.01, 244 * 0.02), (244 * 0.12, 244 * 0.01, 244 * 0.02),
    ),
    # pixels that are left of one; quality
    "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),
    # the four that the source keeps for validation
    "speckle_noise": ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
    "gaussian_blur": ((1,), (2,), (3,), (4,), (6,)),
    # mean, standard deviation, smoothness px, threshold, strength (water) or smoothness px (mud), 1 for mud
    "spatter": (
        (0.65, 0.3, 4, 0.69, 0.6, 0), (0.65, 0.3, 3, 0.68, 0.6, 0), (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1), (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    # factor and summand of the saturation of HSV
    "saturate": ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    # extinction of a depth of 8000/512 m: the unit that the source divides its depths by
    "fog_3d": ((4,), (8,), (12,), (16,), (20,)),
    # blur px of what is infinitely far from the sharp depth: standard deviation; share of depths nearer than sharp
    "near_focus": ((3, 0), (4, 0), (5, 0), (6, 0), (7, 0)),
    "far_focus": ((1.5, 0.875), (2.5, 0.875), (3.5, 0.875), (4.5, 0.875), (5.5, 0.875)),
    # way of the nearest things in the picture, px
    "xy_motion_blur": tuple((62.5 * SIDE / 512 * frames / 60,) for frames in (20, 30, 40, 50, 60)),
    # how much the nearest things come closer, as a share of their depth
    "z_motion_blur": tuple((0.45 * frames / 60,) for frames in (20, 25, 30, 35, 38)),
    # light of the picture over that of the flash
    "flash": ((2.4,), (1.4,), (0.9,), (0.6,), (0.4,)),
    # white, gamma, photons at white, standard deviation of read noise
    "low_light": tuple((white, 2, 120, 0.018) for white in (0.6, 0.5, 0.4, 0.3, 0.2)),
    # photons at white, standard deviation of read noise
    "iso_noise": tuple((25, 0.7 * noise) for noise in (0.08, 0.12, 0.18, 0.26, 0.38)),
    # bits of a channel
    "color_quant": ((5,), (4,), (3,), (2,), (1,)),
})  # fmt: skip
"""By name: the constants of severities 1 to 5."""

NOTHING: Mapping[str, Constants] = MappingProxyType({
    "gaussian_noise": (0,), "shot_noise": (4000,), "impulse_noise": (0,), "speckle_noise": (0,), "iso_noise": (4000, 0),
    "defocus_blur": (0, 0.1), "motion_blur": (0, 0.1), "gaussian_blur": (0,), "fog": (0, 2), "brightness": (0,),
    "contrast": (1,), "jpeg_compression": (100,), "frost": (1, 0), "fog_3d": (0,), "near_focus": (0, 0),
    "far_focus": (0, 0.875), "xy_motion_blur": (0,), "z_motion_blur": (0,), "flash": (1e6,), "pixelate": (1,),
    "snow": (0.1, 0.3, 3, 2.9, 10, 4, 1),
})  # fmt: skip
"""Constants that change (nearly) nothing: severity 0 of the types that can have any strength."""

BEYOND = frozenset((
    "gaussian_noise", "gaussian_blur", "defocus_blur", "motion_blur", "brightness", "fog_3d", "near_focus", "far_focus",
    "xy_motion_blur",
))  # fmt: skip
"""Types whose constants go on beyond severity 5 as from 4 to 5, for filters as strong as something else."""
STRONGEST = 15
"""Severity at which they end."""

FOG_UNIT = 8000 / 512
"""Metres that the source divides its depths by."""
ROOM = 2.5
"""Metres that the median depth of a picture counts as in fog: the source's constants are for rooms, whose two sample
pictures have medians of 1.7 m and 4.0 m."""
