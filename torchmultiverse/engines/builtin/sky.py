"""The sky as an environment map: sunlight scattered by air and dust, the sun's disc, clouds, and what is below.

Single scattering along each viewing direction (Nishita, Sirai, Tadamura and Nakamae, "Display of the earth taking
into account atmospheric scattering", 1993) with a small term for what is scattered more than once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from torchmultiverse.engines.builtin.noise import Noise, smoothstep

Array = NDArray[np.float64]
RGB = tuple[float, float, float]

HEIGHT, WIDTH = 512, 1024
_GROUND, _TOP = 6360e3, 6440e3
_RAYLEIGH = np.array([5.8e-6, 13.5e-6, 33.1e-6])
_OZONE = np.array([0.65e-6, 1.88e-6, 0.085e-6])
_MIE = 4e-6


class Sky(BaseModel):
    """What is overhead. ``daylight`` computes it from the sun; ``gradient`` blends three given colours.

    Angles in degrees; azimuth 0 is +x, 90 is +y (away from the camera at yaw 0). Colours are linear radiance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["daylight", "gradient"] = "daylight"
    sun_elevation: float = 35.0
    sun_azimuth: float = 215.0
    sun_radius: float = 0.8
    sun: float = 1.0
    haziness: float = 1.0
    blueness: float = 1.0
    clouds: float = 0.0
    cloud_stretch: float = 1.0
    cloud_scale: float = 1.0
    zenith: RGB = (0.0, 0.0, 0.0)
    horizon: RGB = (0.0, 0.0, 0.0)
    nadir: RGB = (0.0, 0.0, 0.0)
    ground: RGB = (0.3, 0.27, 0.22)
    stars: float = 0.0


def directions(height: int = HEIGHT, width: int = WIDTH) -> Array:
    """Return the unit direction (z up) of each pixel of the latitude-longitude map, (H, W, 3)."""
    theta = (np.arange(height) + 0.5) / height * np.pi
    phi = (np.arange(width) + 0.5) / width * 2 * np.pi
    t, f = np.meshgrid(theta, phi, indexing="ij")
    # The renderer's map turned upright: its u runs with the azimuth from +x; see `renderer.ENV_TO_WORLD`.
    return np.stack([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t)], -1)


def direction(elevation: float, azimuth: float) -> Array:
    """Return the unit vector of an elevation and azimuth in degrees."""
    e, a = np.radians(elevation), np.radians(azimuth)
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def _leave(position: Array, toward: Array, radius: float) -> Array:
    b = np.sum(position * toward, -1)
    c = np.sum(position * position, -1) - radius * radius
    return np.asarray(-b + np.sqrt(np.maximum(b * b - c, 0)))


def _depth(position: Array, toward: Array, mie: float, steps: int = 8) -> tuple[Array, Array]:
    """Return the optical lengths (metres at sea-level density) of air and dust on the way out."""
    length = _leave(position, toward, _TOP)
    air, dust = np.zeros(length.shape), np.zeros(length.shape)
    for k in range(steps):
        at = position + toward * (length * (k + 0.5) / steps)[..., None]
        height = np.maximum(np.linalg.norm(at, axis=-1) - _GROUND, 0)
        air += np.exp(-height / 8000) * length / steps
        dust += np.exp(-height / 1200) * length / steps
    return air, dust


def daylight(sky: Sky, d: Array, sun: Array) -> tuple[Array, Array]:
    """Return the radiance of each direction and the sunlight's transmittance at the ground (3,)."""
    mie = _MIE * sky.haziness
    rayleigh = _RAYLEIGH * np.array([1, 1, sky.blueness])
    eye = np.array([0.0, 0.0, _GROUND + 10])
    up = d.copy()
    up[..., 2] = np.maximum(up[..., 2], 0.004)
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    start = np.broadcast_to(eye, up.shape)
    length = _leave(start, up, _TOP)
    steps, total_air, total_dust = 24, np.zeros(length.shape), np.zeros(length.shape)
    scattered_air, scattered_dust = np.zeros(d.shape), np.zeros(d.shape)
    edges = np.linspace(0, 1, steps + 1) ** 2
    for k in range(steps):
        step = length * (edges[k + 1] - edges[k])
        at = start + up * (length * (edges[k] + edges[k + 1]) / 2)[..., None]
        height = np.maximum(np.linalg.norm(at, axis=-1) - _GROUND, 0)
        air, dust = np.exp(-height / 8000) * step, np.exp(-height / 1200) * step
        total_air += air / 2
        total_dust += dust / 2
        sun_air, sun_dust = _depth(at, np.broadcast_to(sun, at.shape), mie)
        tau = (total_air + sun_air)[..., None] * (rayleigh + _OZONE) + (total_dust + sun_dust)[..., None] * mie * 1.1
        through = np.exp(-tau) + 0.06 * np.exp(-0.25 * tau)
        scattered_air += through * air[..., None]
        scattered_dust += through * dust[..., None]
        total_air += air / 2
        total_dust += dust / 2
    cosine = np.sum(up * sun, -1)
    phase_air = 3 / (16 * np.pi) * (1 + cosine**2)
    g = 0.76
    phase_dust = 3 / (8 * np.pi) * (1 - g * g) * (1 + cosine**2) / ((2 + g * g) * (1 + g * g - 2 * g * cosine) ** 1.5)
    light = scattered_air * rayleigh * phase_air[..., None] + scattered_dust * mie * phase_dust[..., None]
    air, dust = _depth(eye, sun, mie)
    return light * 20, np.exp(-air * (rayleigh + _OZONE) - dust * mie * 1.1)


def _clouds(sky: Sky, d: Array, radiance: Array, sun: Array, sunlight: Array, noise: Noise) -> Array:
    """Return the radiance with a layer of clouds in front."""
    z = np.maximum(d[..., 2], 0)
    size = sky.cloud_scale
    x = d[..., 0] / (z + 0.08) / sky.cloud_stretch / size
    y = d[..., 1] / (z + 0.08) / size
    warp = 0.35 * noise.fbm(x, y, 1.3, 3, start=5)
    density = noise.fbm(x + warp, y - warp, 1.1, 7, 0.55)
    threshold = 0.75 - 1.3 * sky.clouds
    cover = smoothstep(threshold, threshold + 0.42, density) * smoothstep(0.0, 0.1, d[..., 2])
    toward = sun[:2] / max(float(np.linalg.norm(sun[:2])), 1e-6) * 0.18
    shadow = noise.fbm(x + warp + toward[0], y - warp + toward[1], 1.1, 5, 0.55)
    lit = np.clip(0.75 + 0.9 * (density - shadow), 0.25, 1.25)
    ambient = radiance[d[..., 2] > 0].mean(0)
    thick = smoothstep(0.25, 1.0, cover)
    white = (sunlight * 2.4 * lit[..., None] + ambient * 1.6) * (1 - 0.35 * thick[..., None])
    return np.asarray(radiance + (white - radiance) * (0.96 * cover)[..., None])


def environment(sky: Sky, noise: Noise, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the environment map: linear radiance, float32 (512, 1024, 3), first row at the zenith."""
    d = directions()
    sun = direction(sky.sun_elevation, sky.sun_azimuth)
    z = d[..., 2]
    if sky.kind == "daylight":
        small = directions(HEIGHT // 4, WIDTH // 4)
        coarse, sunlight = daylight(sky, small, sun)
        from scipy.ndimage import zoom

        radiance = np.stack([zoom(coarse[..., k], 4, order=1, mode="nearest", grid_mode=True) for k in range(3)], -1)
        below = np.asarray(sky.ground) * _irradiance(radiance, d, sunlight, sun, sky) / np.pi
        fade = smoothstep(-0.02, -0.25, z)[..., None]
        radiance = np.where(z[..., None] < 0, radiance * (1 - fade) + below * fade, radiance)
    else:
        sunlight = np.ones(3)
        t = np.abs(z)[..., None] ** 0.6
        far = np.where(z[..., None] >= 0, np.asarray(sky.zenith), np.asarray(sky.nadir))
        radiance = np.asarray(sky.horizon) * (1 - t) + far * t
    if sky.clouds > 0:
        radiance = _clouds(sky, d, radiance, sun, sunlight, noise)
    if sky.stars > 0:
        seeds = (rng.random(z.shape) > 0.9985) & (z > 0.02)
        radiance = radiance + (seeds * rng.exponential(sky.stars, z.shape))[..., None]
    if sky.sun > 0:
        radius = np.radians(sky.sun_radius)
        disc = smoothstep(np.cos(radius * 1.15), np.cos(radius * 0.85), np.sum(d * sun, -1))
        # Irradiance of the real sun in the units of `daylight` (20 at the top of the atmosphere), in a larger disc.
        radiance = radiance + (disc / (np.pi * radius**2))[..., None] * sunlight * 20 * sky.sun
    return radiance.astype(np.float32)


def _irradiance(radiance: Array, d: Array, sunlight: Array, sun: Array, sky: Sky) -> Array:
    weight = np.maximum(d[..., 2], 0) * np.sqrt(np.maximum(1 - d[..., 2] ** 2, 0))
    area = (np.pi / HEIGHT) * (2 * np.pi / WIDTH)
    return np.asarray(
        (radiance * weight[..., None]).sum((0, 1)) * area + sunlight * 20 * sky.sun * max(float(sun[2]), 0.0)
    )


def horizontal_irradiance(map: NDArray[np.float32]) -> Array:
    """Return what falls on level ground from the map (3,), in the map's units."""
    height, width = map.shape[:2]
    d = directions(height, width)
    weight = np.maximum(d[..., 2], 0) * np.sqrt(np.maximum(1 - d[..., 2] ** 2, 0))
    area = (np.pi / height) * (2 * np.pi / width)
    return np.asarray((map.astype(float) * weight[..., None]).sum((0, 1)) * area)
