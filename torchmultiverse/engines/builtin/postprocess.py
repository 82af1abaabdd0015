"""From radiance to the picture: denoising, haze, glow, the tint of the light, exposure and the tone curve."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.conditions import Conditions, compressed, exposed
from torchmultiverse.engines.builtin.lens_drops import lens_drops, through_drops
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.surround import open_sky
from torchmultiverse.engines.builtin.tracer import RenderBuffers
from torchmultiverse.engines.builtin.weather import through_weather
from torchmultiverse.engines.builtin.world import Haze, World, WorldSpec
from torchmultiverse.errors import SpecError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
Array = NDArray[np.float32]

_SENSOR, _LENS = 1, 4
"""Streams of random numbers of the sensor and of what is on the lens, beside those of the paths and the weather."""
_TINT_FLOOR = 0.06
"""What a light keeps of the colours it lacks: real coloured lamps are not monochrome."""


@cache
def denoiser_works() -> bool:
    """Return whether the denoiser can be loaded; says once why not."""
    try:
        import pyoidn

        noise = np.full((8, 8, 3), 0.5, np.float32)
        pyoidn.denoise(noise, hdr=True)
    except (ImportError, OSError, RuntimeError) as error:
        log.warning("pictures are not denoised: %s", error)
        return False
    return True


def denoise(buffers: RenderBuffers) -> Array:
    """Return the colour without noise."""
    return np.asarray(denoised(buffers.color, buffers.albedo, buffers.normal, buffers.noisy_maps), np.float32)


def denoised(color: Any, albedo: Any, normal: Any, noisy_maps: bool) -> Any:
    """Return a picture without noise: numpy arrays or torch tensors (H, W, 3), all of one kind.

    Args:
        color: linear radiance.
        albedo, normal: of the first surface: every sample of the picture is in these, and they have no noise but that
            of edges.
        noisy_maps: whether a lens or a motion blurs them, so that they have. To denoise them first gains 0.4 dB and
            takes three times as long.
    """
    import pyoidn

    as_block = np.ascontiguousarray if isinstance(color, np.ndarray) else _contiguous
    color, albedo, normal = (as_block(image) for image in (color, albedo, normal))
    return pyoidn.denoise(color, albedo=albedo, normal=normal, hdr=True, clean_aux=not noisy_maps)


def _contiguous(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous()


def tint(level: str) -> NDArray[np.float64]:
    """Return what a ``Scene_Light`` level multiplies light with, (3,).

    ``"R,G,B,A"``, 0 to 255; white is the world's own light. The fourth number, which the published levels carry as
    0, has no meaning here. Brightness is kept as far as a coloured light can.

    Raises:
        SpecError: not four numbers of 0 to 255.
    """
    try:
        numbers = [float(part) for part in level.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(0 <= n <= 255 for n in numbers):
        raise SpecError(f"Scene_Light = '{level}' is no light: write 'R,G,B,A', each 0 to 255, such as '255,0,0,0'")
    color = np.array(numbers[:3]) / 255
    if np.allclose(color, 1):
        return np.ones(3)
    color = _TINT_FLOOR + (1 - _TINT_FLOOR) * color
    return np.asarray(color * min(1.6, (1 / float(color @ [0.2126, 0.7152, 0.0722])) ** 0.35))


def tone(x: Array) -> Array:
    """Return display-linear values of 0 to 1 on a filmic curve (a fit of the ACES reference's shape)."""
    x = np.maximum(x * 0.72, 0)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1)


def encode(x: Array) -> NDArray[np.uint8]:
    """Return sRGB bytes of display-linear values."""
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(np.clip(srgb, 0, 1) * 255), np.uint8)


@cache
def _beams() -> Noise:
    return Noise(np.random.default_rng(77))


def _shafts(haze: Haze, view: View, buffers: RenderBuffers, sun: NDArray[np.float64]) -> Array:
    """Return how much brighter the water along each pixel is, (H, W, 1): beams through a rippled surface."""
    width, height = view.size
    step = max(1, width // 128)
    x, y = np.broadcast_arrays(*view.grid(step))
    directions = np.stack([x, y, np.ones_like(x)], -1) @ view.rotation
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    limit = np.minimum(buffers.distance[::step, ::step], 22.0)
    total, weight = np.zeros(x.shape), np.zeros(x.shape)
    for k in range(14):
        t = limit * (k + 0.5) / 14
        p = view.position + directions * t[..., None]
        # Follow the beam up to the surface: points on one beam share their place there.
        flat = p[..., :2] - sun[:2] / sun[2] * p[..., 2:3]
        beam = _beams().fbm(flat[..., 0], flat[..., 1], 2.2, 3)
        fade = np.exp(-haze.density * t) * np.clip(0.35 + p[..., 2] / 9, 0, 1.2)
        total += np.clip(beam * 2.2 - 0.25, 0, None) ** 1.5 * fade
        weight += fade
    glow = (total / np.maximum(weight, 1e-6)) * (1 - np.exp(-haze.density * limit))
    from scipy.ndimage import zoom

    full = zoom(glow, (height / glow.shape[0], width / glow.shape[1]), order=1, mode="nearest", grid_mode=True)
    return np.asarray(full[..., None], np.float32)


def veil_of(spec: WorldSpec, view: View, buffers: RenderBuffers) -> Array:
    """Return the light of the haze itself, of a shape that goes with (H, W, 3)."""
    haze = spec.haze
    assert haze is not None
    veil = np.asarray(haze.color, np.float32)
    if haze.shafts > 0:
        from torchmultiverse.engines.builtin.sky import direction

        # Water is brighter towards the surface.
        x, y = view.grid()
        up = view.rotation[0, 2] * x + view.rotation[1, 2] * y + view.rotation[2, 2]
        up = up / np.sqrt(1 + x**2 + y**2)
        veil = veil * (0.35 + 1.5 * np.clip(up + 0.25, 0, 1) ** 1.5)[..., None]
        sun = direction(spec.sky.sun_elevation, spec.sky.sun_azimuth)
        veil = veil * (1 + haze.shafts * _shafts(haze, view, buffers, sun))
    return np.asarray(veil)


def postprocess(
    buffers: RenderBuffers,
    world: World,
    view: View,
    light: str,
    denoises: bool,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
    seed: int = 0,
    around: Array | None = None,
) -> NDArray[np.uint8]:
    """Return the picture, uint8 (H, W, 3), sRGB.

    Args:
        buffers: what was traced.
        world, view, light: what it shows, from where, and in which ``Scene_Light``.
        denoises: whether to denoise.
        conditions: of air, exposure, sensor and file.
        seed: of the picture: of what falls, and of the sensor's noise.
        around: the light from all sides, as `surround` returns it, where something is in the air; by default the sky's.
    """
    spec = world.spec
    color = denoise(buffers) if denoises and denoiser_works() else buffers.color
    color = np.maximum(color, 0)
    if spec.haze is not None:
        color = color * buffers.transmittance + veil_of(spec, view, buffers) * (1 - buffers.transmittance)
    if conditions.airy:
        light_around = open_sky(world) if around is None else around
        distance = buffers.distance if buffers.air is None else buffers.air
        color = through_weather(color, distance, view, conditions, light_around, seed)
    if conditions.lens_drops:
        rng = np.random.default_rng([conditions.setting, _LENS])
        color = through_drops(color, lens_drops(conditions.lens_drops, view.size, rng))
    color = color * (tint(light) * world.exposure).astype(np.float32)
    if spec.glow > 0:
        from scipy.ndimage import gaussian_filter

        bright = np.minimum(color, 6)
        side = min(view.size)
        spread = sum(gaussian_filter(bright, (side * s, side * s, 0), truncate=2.5) for s in (0.008, 0.03)) / 2
        color = color * (1 - spec.glow) + spread * spec.glow
    if not conditions.plain:
        color = exposed(color, conditions, np.random.default_rng([seed, _SENSOR]))
    if spec.saturation != 1:
        grey = (color @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
        color = np.maximum(grey + (color - grey) * spec.saturation, 0).astype(np.float32)
    return compressed(encode(tone(color.astype(np.float32))), conditions.jpeg)
