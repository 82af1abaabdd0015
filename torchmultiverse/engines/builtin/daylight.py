"""The sky of a world under another sun and other clouds: how bright it is by measurement, and how the light is spread.

A world's own map (`sky.environment`) says how bright it is at its own sun. From there the light on level ground follows
the sun as it was measured, from the zenith to the end of astronomical twilight (Janiczek and DeYoung, "Computer
Programs for Sun and Moon Illuminance", U.S. Naval Observatory Circular 171, 1987), and the share of clouds (Kasten and
Czeplak,
"Solar and terrestrial radiation dependent on the amount and type of cloud", Solar Energy 24, 1980). The colours and the
spread over the sky are those of `sky.daylight`; below closed clouds, of the CIE's standard overcast sky (Moon and
Spencer, 1942). All is a function of the world's name, its sky and the levels.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.noise import Noise, mix, smoothstep
from torchmultiverse.engines.builtin.sky import HEIGHT, WIDTH, Sky, daylight, direction, directions

Array = NDArray[np.float64]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_POLYNOMIALS = (
    (20.0, (3.74, 3.97, -4.07, 1.47)),
    (5.0, (3.05, 13.28, -45.98, 64.33)),
    (-0.8, (2.88, 22.26, -207.64, 1034.30)),
    (-5.0, (2.88, 21.81, -258.11, -858.36)),
    (-12.0, (2.70, 12.17, -431.69, -1899.83)),
    (-18.0, (13.84, 262.72, 1447.42, 2797.93)),
)
"""Lowest elevation, and the coefficients of log10 of the illuminance over elevation / 90 degrees."""
NIGHT = -18.0
"""Elevation from which on it is night, degrees."""
_DEEPEST = -7.0
"""The sun's lowest elevation whose twilight is computed; below, its pattern stays and fades."""
_UPPER = HEIGHT // 2
_COARSE = 4
_BLUE_HOUR, _GLOW, _BELT = np.array([0.42, 0.6, 1.3]), np.array([1.9, 0.85, 0.28]), np.array([1.1, 0.7, 0.8])
"""Colours of deep twilight: overhead, above the sun, and above the earth's shadow opposite."""
_NIGHT_SKY = np.array([0.6, 0.95, 1.5])
_STAR_SHARE = 0.35
_STARS = 2600


def illuminance(elevation: float) -> float:
    """Return the light of sun and sky on level ground under a clear sky, lux, by the sun's elevation in degrees.

    >>> round(illuminance(90), -3), round(illuminance(0)), round(illuminance(-6), 2)
    (129000.0, 759, 3.41)
    """
    elevation = max(elevation, NIGHT)
    terms = next(terms for low, terms in _POLYNOMIALS if elevation >= low)
    x = elevation / 90
    return math.pow(10, sum(term * x**k for k, term in enumerate(terms)))


def clouded(share: float) -> float:
    """Return the fraction of the light on level ground that a share of clouds leaves: 1 - 0.75 n^3.4.

    >>> clouded(0), clouded(1)
    (1.0, 0.25)
    """
    return 1 - 0.75 * math.pow(share, 3.4)


def beam(share: float) -> float:
    """Return the fraction of the sun's own beam that a share of clouds leaves.

    Of what reaches the ground 0.3 + 0.7 n² is diffuse, by the same measurements.

    >>> beam(0), beam(1)
    (1.0, 0.0)
    """
    return (1 - float(share) ** 2) * clouded(share)


class _Upper(NamedTuple):
    """The upper half of the map: directions (H / 2, W, 3), and what each pixel gives to level ground, steradians."""

    d: Array
    weight: Array


@lru_cache(maxsize=1)
def _upper() -> _Upper:
    d = directions()[:_UPPER]
    z = d[..., 2]
    area = (np.pi / HEIGHT) * (2 * np.pi / WIDTH)
    return _Upper(d, z * np.sqrt(1 - z * z) * area)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


@lru_cache(maxsize=4)
def _noise(name: str) -> Noise:
    """Return the fields of a world, as its builder has them."""
    return Noise(np.random.default_rng([_seed(name), 0]))


@lru_cache(maxsize=64)
def _scattered(haziness: float, blueness: float, elevation: float) -> tuple[Array, Array]:
    """Return the radiance of half a sky, from the sun to the point opposite, and the sun's transmittance (3,).

    Rows (65) go from the zenith to just below the horizon, columns (128) away from the sun.
    """
    sky = Sky(haziness=haziness, blueness=blueness)
    d = directions(HEIGHT // _COARSE, WIDTH // _COARSE)[: _UPPER // _COARSE + 1, : WIDTH // _COARSE // 2]
    radiance, sunlight = daylight(sky, d, direction(elevation, 0.0))
    dusk = float(smoothstep(8.0, -4.0, np.array(elevation)))
    return (_dusky(radiance, d, dusk) if dusk > 0 else radiance), sunlight


def _dusky(radiance: Array, d: Array, dusk: float) -> Array:
    """Return a half sky as light that is scattered many times leaves it, which single scattering lacks.

    The sky is more even, and blue but for the glow above the sun, as all light that comes down from on high has passed
    through the ozone layer at a slant (Hulburt, "Explanation of the Brightness and Color of the Sky, Particularly the
    Twilight Sky", 1953).

    Args:
        radiance: of single scattering, (h, w, 3).
        d: directions; the sun is at azimuth 0.
        dusk: 0 by day to 1 in deep twilight.
    """
    luminance = radiance @ LUMINANCE
    even = luminance ** (1 - 0.4 * dusk)
    even *= luminance.mean() / even.mean()
    even += 0.3 * dusk * luminance.mean()
    low = smoothstep(0.5, 0.0, d[..., 2]) * smoothstep(-0.3, 0.95, d[..., 0])
    belt = smoothstep(0.3, 0.1, d[..., 2]) * smoothstep(0.2, -0.8, d[..., 0])
    color = mix(mix(_BLUE_HOUR, _GLOW, low), _BELT, 0.5 * belt * (1 - dusk))
    own = radiance / np.maximum(luminance, 1e-30)[..., None]
    color = color / (color @ LUMINANCE)[..., None]
    return np.asarray(even[..., None] * (own * (1 - dusk) + color * dusk))


def _turned(table: Array, azimuth: float) -> Array:
    """Return a half sky (65, 128, 3) as the map's upper half and one row below, (H / 2 + 1, W, 3)."""
    columns = 2 * table.shape[1]
    place = (np.arange(WIDTH) + 0.5) / WIDTH * columns - azimuth / 360 * columns - 0.5
    first = np.floor(place).astype(int)
    part = (place - first)[:, None]
    fold = [np.where(k < columns // 2, k, columns - 1 - k) for k in (first % columns, (first + 1) % columns)]
    wide = table[:, fold[0]] * (1 - part) + table[:, fold[1]] * part
    rows = np.clip((np.arange(_UPPER) + 0.5) / _COARSE - 0.5, 0, len(table) - 1)
    above = np.minimum(rows.astype(int), len(table) - 2)
    share = (rows - above)[:, None, None]
    return np.concatenate([wide[above] * (1 - share) + wide[above + 1] * share, wide[-1:]])


@lru_cache(maxsize=4)
def _clouds(name: str, stretch: float, scale: float) -> tuple[Array, Array, Array, Array]:
    """Return a world's layer of clouds over the upper half: density (as `sky.environment` has it), where it is sampled
    (x, y), and of each pixel which share of the sky is denser."""
    d, _ = _upper()
    x, y = d[..., 0] / (d[..., 2] + 0.08) / stretch / scale, d[..., 1] / (d[..., 2] + 0.08) / scale
    noise = _noise(name)
    warp = 0.35 * noise.fbm(x, y, 1.3, 3, start=5)
    x, y = x + warp, y - warp
    density = noise.fbm(x, y, 1.1, 7, 0.55)
    solid = np.broadcast_to(np.sqrt(1 - d[..., 2] ** 2), density.shape).ravel()
    order = np.argsort(-density, axis=None, kind="stable")
    denser = np.empty(density.size)
    denser[order] = (np.cumsum(solid[order]) - solid[order] / 2) / solid.sum()
    return density, x, y, denser.reshape(density.shape)


def _lit_clouds(name: str, sky: Sky, sun: Array) -> Array:
    """Return how bright each part of the clouds is beside the others, by where the sun stands."""
    density, x, y, _ = _clouds(name, sky.cloud_stretch, sky.cloud_scale)
    toward = sun[:2] / max(float(np.linalg.norm(sun[:2])), 1e-6) * 0.18
    shadow = _noise(name).fbm(x[::2, ::2] + toward[0], y[::2, ::2] - toward[1], 1.1, 5, 0.55)
    return np.asarray(np.clip(0.75 + 0.9 * (density - shadow.repeat(2, 0).repeat(2, 1)), 0.25, 1.25))


def _own_clouds(name: str, sky: Sky, radiance: Array, sun: Array, sunlight: Array) -> Array:
    """Return the radiance of the upper half with the world's own clouds in front, as `sky.environment` draws them."""
    z = _upper().d[..., 2]
    density = _clouds(name, sky.cloud_stretch, sky.cloud_scale)[0]
    threshold = 0.75 - 1.3 * sky.clouds
    cover = smoothstep(threshold, threshold + 0.42, density) * smoothstep(0.0, 0.1, z)
    lit = _lit_clouds(name, sky, sun)
    ambient = radiance.mean((0, 1))
    thick = smoothstep(0.25, 1.0, cover)
    white = (sunlight * 2.4 * lit[..., None] + ambient * 1.6) * (1 - 0.35 * thick[..., None])
    return np.asarray(radiance + (white - radiance) * (0.96 * cover)[..., None])


def _cover(denser: Array, share: float) -> Array:
    """Return how much clouds cover of each pixel, so that they cover a share of the sky."""
    soft = 0.5 * min(share, 1 - share)
    cover = (denser < share).astype(float) if soft <= 0 else smoothstep(share + soft, share - soft, denser)
    # At the horizon single clouds are too small to be told apart.
    near = smoothstep(0.1, 0.02, _upper().d[..., 2])
    return np.asarray(cover + (share - cover) * near)


def _disc(sky: Sky, sun: Array, sunlight: Array) -> Array:
    """Return the radiance of the sun's disc above the horizon, as `sky.environment` draws it."""
    radius = np.radians(sky.sun_radius)
    shape = smoothstep(np.cos(radius * 1.15), np.cos(radius * 0.85), np.sum(_upper().d * sun, -1))
    return np.asarray((shape / (np.pi * radius**2))[..., None] * sunlight * 20 * sky.sun)


def _falling(radiance: Array) -> float:
    """Return the luminance-weighted light of the upper half on level ground."""
    return float(((radiance @ LUMINANCE) * _upper().weight).sum())


@lru_cache(maxsize=4)
def _night(name: str) -> tuple[Array, Array]:
    """Return the moonless night sky, which sheds 1 on level ground: the air's own light and the stars.

    The air glows more the longer the way through its layer is (van Rhijn, 1921).
    """
    d, weight = _upper()
    glow = 1 / np.sqrt(1 - (1 - d[..., 2] ** 2) * (6360 / 6460) ** 2)
    air = np.minimum(glow, 2.0)[..., None] * _NIGHT_SKY
    rng = np.random.default_rng([_seed(name), 98])
    z, turn = rng.random(_STARS), rng.random(_STARS)
    rows = np.minimum((np.arccos(z) / np.pi * HEIGHT).astype(int), _UPPER - 1)
    columns = (turn * WIDTH).astype(int)
    stars = np.zeros(weight.shape)
    # Two and a half times as many for each magnitude fainter: N(> flux) as flux^-1.
    np.maximum.at(stars, (rows, columns), 1 / np.maximum(rng.random(_STARS), 2e-3))
    stars *= smoothstep(0.0, 0.15, d[..., 2]) / np.maximum(weight / np.maximum(d[..., 2], 0.05), 1e-12)
    field = stars[..., None] * np.array([0.95, 1.0, 1.1])
    return air * ((1 - _STAR_SHARE) / _falling(air)), field * (_STAR_SHARE / _falling(field))


def _clear(sky: Sky, elevation: float, azimuth: float) -> tuple[Array, Array, Array, Array]:
    """Return of a sky without clouds and without the disc: upper half, row below the horizon, sunlight, direction."""
    table, sunlight = _scattered(sky.haziness, sky.blueness, max(elevation, _DEEPEST))
    turned = _turned(table, azimuth)
    return turned[:-1], turned[-1], sunlight if elevation > _DEEPEST else 0 * sunlight, direction(elevation, azimuth)


@lru_cache(maxsize=16)
def clear_light(sky: Sky) -> float:
    """Return the luminance-weighted light on level ground of a world's own sun in a sky without clouds."""
    upper, _, sunlight, sun = _clear(sky, sky.sun_elevation, sky.sun_azimuth)
    return _falling(upper) + _falling(_disc(sky, sun, sunlight))


def environment(
    name: str, sky: Sky, light: float, elevation: float, azimuth: float, overcast: float | None
) -> NDArray[np.float32]:
    """Return the map of a world's sky under another sun: linear radiance, float32 (512, 1024, 3), zenith first.

    Args:
        name: of the world, which fixes clouds and stars.
        sky: its own; of kind ``daylight``.
        light: what falls on level ground from its own map, luminance-weighted.
        elevation, azimuth: of the sun, degrees; the azimuth is the sky's: 0 is +x, 90 is +y.
        overcast: share of the sky that clouds cover, or None for the world's own clouds.
    """
    upper, below, sunlight, sun = _clear(sky, elevation, azimuth)
    disc = _disc(sky, sun, sunlight)
    ratio = illuminance(elevation) / illuminance(sky.sun_elevation)
    night = illuminance(NIGHT) / illuminance(sky.sun_elevation)
    air, stars = _night(name)
    if overcast is None:
        anchor, covered = light, None
        if sky.clouds > 0:
            upper = _own_clouds(name, sky, upper, sun, sunlight)
        factor = anchor * max(ratio - night, 0) / (_falling(upper) + _falling(disc))
        upper, below, disc = upper * factor, below * factor, disc * factor
        density = _clouds(name, sky.cloud_stretch, sky.cloud_scale)[0] if sky.clouds > 0 else None
        if density is not None:
            covered = smoothstep(0.75 - 1.3 * sky.clouds, 1.17 - 1.3 * sky.clouds, density)
        whole = anchor * night
    else:
        anchor = clear_light(sky)
        factor = anchor * max(ratio - night, 0) / (_falling(upper) + _falling(disc))
        upper, below, disc = upper * factor, below * factor, disc * factor
        upper, covered = _overcast(name, sky, upper, disc, sun, overcast)
        below = below + (upper[-1] - below) * overcast
        disc = disc * beam(overcast)
        whole = anchor * night * clouded(overcast)
    dark = air + stars if covered is None else air + stars * (1 - covered)[..., None]
    upper = upper + dark * (whole / _falling(dark)) + disc
    below = below + air[-1] * (whole / _falling(dark))
    total = (upper * _upper().weight[..., None]).sum((0, 1))
    lower = directions()[_UPPER:, :, 2]
    fade = smoothstep(-0.02, -0.25, lower)[..., None]
    ground = np.asarray(sky.ground) * total / np.pi
    return np.concatenate([upper, below * (1 - fade) + ground * fade]).astype(np.float32)


def _overcast(name: str, sky: Sky, clear: Array, disc: Array, sun: Array, share: float) -> tuple[Array, Array]:
    """Return the sky between and of clouds without the sun's disc, and what they cover of each pixel.

    Args:
        name, sky: of the world.
        clear, disc: radiance of the upper half without clouds.
        sun: its direction.
        share: of the sky that clouds cover.
    """
    covered = _cover(_clouds(name, sky.cloud_stretch, sky.cloud_scale)[3], share)
    direct, diffuse = _falling(disc), _falling(clear)
    if share <= 0 or direct + diffuse <= 0:
        return clear, covered
    left = (direct + diffuse) * clouded(share) - direct * beam(share)
    lit = _lit_clouds(name, sky, sun)
    relief = 1 + (0.08 + 0.92 * (1 - share)) * (lit / lit.mean() - 1)
    relief = relief / relief.mean(1, keepdims=True)
    pattern = (1 + 2 * _upper().d[..., 2]) / 3 * relief
    # Clouds scatter all colours alike: theirs is that of all the light they get, and greyer.
    weight = _upper().weight[..., None]
    color = ((clear + disc) * weight).sum((0, 1))
    color = 0.35 * color / (color @ LUMINANCE) + 0.65
    between = clear * (1 - covered)[..., None]
    bright = max(left - _falling(between), 0.02 * left) / float((pattern * covered * _upper().weight).sum())
    made = between + (pattern * covered * bright)[..., None] * (color / (color @ LUMINANCE))
    return made * (left / _falling(made)), covered
