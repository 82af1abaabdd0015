"""Windows of houses in which light is on while the sun that a scene asks for is below the horizon.

A world says which share of its windows that is (``lit_windows`` in its file). Its meshes stay what they are: a thin
pane that shines stands before each of these windows. Scenes that do not ask for a sun have none.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from torchmultiverse.engines.builtin import daylight
from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart, linear
from torchmultiverse.engines.builtin.regions import region_table, regional_spec
from torchmultiverse.engines.builtin.sky import horizontal_irradiance
from torchmultiverse.engines.builtin.world import World, load_spec, world_names
from torchmultiverse.scenes import OWN

_LUMINANCE = 60.0
"""Mean luminance of a window with a lit room and a curtain behind it, cd/m²: a room of 100 lux at a reflectance of 0.6
behind a curtain sends out 20, one lamp in sight far more."""
_GLASS = "plain 0.05 0.9 0 0"
"""Material of dark glass, as `surfaces.material` names it."""
_BOX = 12
_HEIGHTS, _WIDTHS, _THICKEST = (0.55, 1.8), (0.6, 2.0), 0.25
"""Metres of a window's pane; windscreens and roofs of cars are deeper than wide."""
_LOWEST = 0.4
_AHEAD = 0.004
_TONE = linear(np.array([1.0, 0.8, 0.54]))


@lru_cache(maxsize=256)
def has_evening(name: str, region: str = OWN) -> bool:
    """Return whether light goes on in a world of the package, in a look, when the sun has set."""
    if name not in world_names() or region not in (OWN, *region_table().get(name, ())):
        return False
    spec = load_spec(name)[0] if region == OWN else regional_spec(name, region)
    return spec.lit_windows > 0


def with_lit_windows(world: World) -> World:
    """Return a world in whose windows light is on; itself where it has none or they are lit."""
    share = world.spec.lit_windows
    if share <= 0 or world.evening:
        return world
    panes = [pane for part in world.parts if part.material.name == _GLASS for pane in windows(part.mesh)]
    rng = np.random.default_rng(len(panes))
    chosen = [pane for pane, drawn in zip(panes, rng.random(len(panes)), strict=True) if drawn < share]
    if not chosen:
        return replace(world, evening=True)
    # What the world's own sky sends down is known in lux.
    lux = daylight.illuminance(world.spec.sky.sun_elevation)
    mean = _LUMINANCE * float(horizontal_irradiance(world.environment) @ daylight.LUMINANCE) / lux
    strength = rng.uniform(0.25, 1.0, len(chosen))
    tones = (strength[:, None] * _TONE).astype(np.float32)
    emission = mean / float((tones @ daylight.LUMINANCE).mean())
    material = Material("lit windows", roughness=0.9, specular=0.0, emission=emission, samples_light=True)
    part = MeshPart(material, _panels(np.array(chosen), tones))
    return replace(world, evening=True, parts=[*world.parts, part])


def windows(mesh: Mesh) -> list[NDArray[np.float32]]:
    """Return the upright faces of a mesh's panes, each as its corners (2 sides, 4, 3), counter-clockwise from outside.

    A pane is a thin upright box.
    """
    _, same = np.unique(np.round(mesh.vertices, 4), axis=0, return_inverse=True)
    faces = same.ravel()[mesh.faces.astype(np.int64)]
    pairs = np.concatenate([faces[:, :2], faces[:, 1:]])
    size = int(faces.max()) + 1
    _, label = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), shape=(size, size)), directed=False)
    owner = label[faces[:, 0]]
    order = np.argsort(owner, kind="stable")
    bounds = np.flatnonzero(np.diff(owner[order])) + 1
    found = []
    for rows in np.split(order, bounds):
        if len(rows) == _BOX:
            corners = np.unique(np.round(mesh.vertices[mesh.faces[rows].ravel()].astype(float), 4), axis=0)
            if (pane := _pane(corners)) is not None:
                found.append(pane)
    return found


def _pane(corners: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Return both faces of a box (8, 3), if it is a window's pane; else None."""
    low, high = corners[:, 2].min(), corners[:, 2].max()
    foot = corners[corners[:, 2] < low + 1e-3][:, :2]
    top = corners[corners[:, 2] > high - 1e-3][:, :2]
    upright = len(corners) == 8 and len(foot) == 4 and np.abs(foot - top).max() < 1e-3
    if not upright or low < _LOWEST or not _HEIGHTS[0] <= high - low <= _HEIGHTS[1]:
        return None
    middle = foot.mean(0)
    foot = foot[np.argsort(np.arctan2(*(foot - middle).T[::-1]))]
    sides = np.roll(foot, -1, axis=0) - foot
    lengths = np.hypot(*sides.T)
    if not _WIDTHS[0] <= lengths.max() <= _WIDTHS[1] or lengths.min() > _THICKEST:
        return None
    k = int(np.argmax(lengths[:2]))
    faces = []
    for j in (k, k + 2):
        a, b = foot[j], foot[(j + 1) % 4]
        out = np.array([b[1] - a[1], a[0] - b[0]]) / np.hypot(*(b - a)) * _AHEAD
        (ax, ay), (bx, by) = a + out, b + out
        faces.append([(ax, ay, low), (bx, by, low), (bx, by, high), (ax, ay, high)])
    return np.asarray(faces, np.float32)


def _panels(panes: NDArray[np.float32], tones: NDArray[np.float32]) -> Mesh:
    """Return panes (N, 2, 4, 3) as one mesh, each in its colour (N, 3)."""
    count = len(panes) * 2
    faces = 4 * np.arange(count)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(panes.reshape(-1, 3), faces.reshape(-1, 3).astype(np.uint32), colors=np.repeat(tones, 8, axis=0))
