"""One world in arrays, the characters in it, and the images that paths through them add up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, MeshPart
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer.backend import (
    EPSILON,
    FAR,
    NONE,
    mitsuba,
    opaque_float,
    opaque_point,
    uploaded,
)
from torchmultiverse.engines.builtin.tracer.bsdf import luminance
from torchmultiverse.engines.builtin.tracer.buffers import (
    Air,
    Array,
    CharacterInstance,
    RenderBuffers,
    concatenate_triangles,
    mesh_triangles,
)
from torchmultiverse.engines.builtin.tracer.camera import camera_rays, sampled_rays, sampled_times
from torchmultiverse.engines.builtin.tracer.cover import Cover, Places
from torchmultiverse.engines.builtin.tracer.geometry import Geometry
from torchmultiverse.engines.builtin.tracer.glass import shadow_tints
from torchmultiverse.engines.builtin.tracer.integrator import Integrator
from torchmultiverse.engines.builtin.tracer.kinds import Float
from torchmultiverse.engines.builtin.tracer.lights import Lights, emitters
from torchmultiverse.engines.builtin.tracer.materials import Materials
from torchmultiverse.engines.builtin.tracer.sampling import LatticeSampler
from torchmultiverse.engines.builtin.world import World

CHARACTER_MATERIAL = Material("skin", specular=0.35)
DEPTH = 4
"""Number of surfaces that a light path may touch, plus one."""
WAVEFRONT = 1 << 22
"""Most paths at a time: they take about a hundred bytes each."""
_PILOT = 2048
"""Places at which each light is sampled when a world is loaded."""


class Tracer:
    """One world in arrays, the characters, whose arrays are replaced, and the paths through them.

    Args:
        world: what to load.
        depth: number of surfaces that a light path may touch, plus one.
        one_scene: whether world and characters are one ray-tracing scene. It has to be on CUDA; elsewhere two are
            quicker to change, and what moves has to be a structure of its own.

    Attributes:
        sliced: whether what moves has to stand still in slices of time, as it is one ray-tracing scene with the rest.
    """

    def __init__(self, world: World, depth: int = DEPTH, one_scene: bool | None = None) -> None:
        parts = world.parts
        rows = concatenate_triangles([mesh_triangles(p.mesh, p.material.roughness, k) for k, p in enumerate(parts)])
        self._materials = Materials([*(p.material for p in parts), CHARACTER_MATERIAL], [p.mesh for p in parts])
        self._parts: list[MeshPart] = []
        self._extended: tuple[list[object], Materials] = ([], self._materials)
        self._emitters = emitters(rows, self._materials.emission)
        self.sliced = one_scene = "cuda" in mitsuba().variant() if one_scene is None else one_scene
        ends = np.cumsum([len(p.mesh.vertices) for p in parts])
        for part, end in zip(parts, ends, strict=True):
            if part.material.color is not None:  # textures alone colour a world's surfaces
                rows.points[end - len(part.mesh.vertices) : end, 8:11] = 1
        self._geometry = Geometry(rows, len(parts), one_scene)
        self._depth = depth
        self._places: Places | None = None
        self._light(world)
        self.set_characters([])
        self._cover_with(world)
        self._weigh_lights()

    def _light(self, world: World) -> None:
        self.world = world
        self.lights = Lights(world, self._emitters, self._materials.emission)
        self._integrator = Integrator(self._geometry, self._materials, self.lights, self._depth)

    def relight(self, world: World) -> bool:
        """Take sky, lamps, haze and cover of another world with the very same meshes, without loading those anew.

        Pictures are those of a tracer that has loaded the other world, byte for byte.

        Args:
            world: its materials may differ by how much they emit.

        Returns:
            whether the characters have to be set anew.

        Raises:
            ValueError: other meshes, or a material that has been loaded as what emits nothing and is to emit.
        """
        if any(new.mesh is not old.mesh for new, old in zip(world.parts, self.world.parts, strict=True)):
            raise ValueError(f"{world.name}: its meshes are not those that are loaded")
        if any(new is not old for new, old in zip(world.parts, self.world.parts, strict=True)):
            self._materials = self._materials.relit([*(p.material for p in world.parts), CHARACTER_MATERIAL])
            self._extended = ([], self._materials)
        self._light(world)
        covers = self._places is None and bool(world.wetness or world.snow_cover)
        together = covers or (self.sliced and self.lights.count > 1)
        if together:
            self.set_characters([])
        else:
            self._set_materials(self._parts)
        self._cover_with(world)
        self._weigh_lights()
        return together

    def _cover_with(self, world: World) -> None:
        """Let water and snow lie on the world; the first time, no character may be there."""
        if world.wetness or world.snow_cover:
            if self._places is None:
                self._places = Places(world, self._geometry)
            self._integrator.cover = Cover(self._places, world.wetness, world.snow_cover)

    def _weigh_lights(self) -> None:
        """Sample each light as often as it lights the world's centre: a sky behind walls seldom."""
        import drjit as dr

        mi = mitsuba()
        count = self.lights.count
        if count == 1:
            return
        sampler = LatticeSampler(_PILOT * count, _PILOT, 1)
        light = sampler.pixel
        x, y = sampler.floats(mi.UInt32(0))
        z, _ = sampler.floats(mi.UInt32(1))
        ground = float(self.world.ground(0, 0))
        p = mi.Point3f(6 * x - 3, 6 * y - 3, opaque_float(ground) + 0.1 + 2.4 * z)
        uv = sampler.pair(mi.UInt32(2))
        emissive_point = self._integrator.emissive_point
        sample = self.lights.sample(p, (light, mi.Float(1)), uv, emissive_point, mi.Bool(True))
        distance = dr.select(sample.distance < FAR, sample.distance * (1 - 20 * EPSILON), FAR)
        seen = ~self._geometry.world_occluded(p, sample.d, distance)
        strength = np.array(dr.select(seen, luminance(sample.value), 0)).reshape(count, _PILOT).astype(np.float64)
        strength[0] *= 1 / count  # the sky's density has its probability in it
        strength[-1] *= 1 / count if self.lights.emissive else 1
        # One place beside a lamp is not the whole room.
        mean = np.minimum(strength, 8 * strength.mean(1, keepdims=True)).mean(1)
        if mean.sum() > 0:
            self.lights.set_probabilities(mean + 0.1 * mean.sum() / count)

    def set_characters(self, characters: Sequence[CharacterInstance | None]) -> None:
        """Put characters into as many slots."""
        self._geometry.set_characters(characters)
        self._parts = [part for c in characters if c for part in c.parts]
        self._set_materials(self._parts)

    def _set_materials(self, parts: Sequence[MeshPart]) -> None:
        self._integrator.materials = self._materials_with(parts)
        if self._geometry.glass:
            tints = shadow_tints(parts, len(self._materials))
            self._integrator.shadow_tints = uploaded("Float", tints)

    def _materials_with(self, parts: Sequence[MeshPart]) -> Materials:
        """Return the world's materials and those of parts of characters; the very same ones for the same parts."""
        facts: list[object] = [fact for part in parts for fact in (part.material, part.mesh.colors)]
        known, made = self._extended
        if len(facts) != len(known) or any(new is not old for new, old in zip(facts, known, strict=True)):
            made = self._materials
            if parts:
                made = Materials([part.material for part in parts], [part.mesh for part in parts], self._materials)
            self._extended = (facts, made)
        return made

    def render(
        self,
        view: View,
        samples: int,
        seed: int,
        device: bool = False,
        exact: bool = True,
        air: Air | None = None,
    ) -> RenderBuffers:
        """Render the world and the characters in it. The same arguments give the same bytes.

        Args:
            view, samples, seed: from where, how well, and with which random numbers.
            device: leave colour and its buffers where they were traced, as a torch tensor.
            exact: find what is at the pixels' centres, too; the buffers of that are empty otherwise.
            air: what is in it, where something is: a blurred picture has its own way through it.
        """
        import drjit as dr

        blurred = view.lens.aperture > 0 or self._geometry.moves
        air = air if blurred and not device else None
        width, height = view.size
        pixels = width * height
        rounds = -(-pixels * samples // WAVEFRONT)
        per_round = -(-samples // rounds)
        haze = self.world.spec.haze
        total: Any = 0
        for k in range(rounds):
            values = self._samples(view, per_round, seed + 7919 * k, air)
            if device:
                import torch

                sums: list[Any] = [dr.block_sum(c, per_round) for c in values]
                dr.eval(sums)
                dr.sync_thread()  # torch works in a queue of its own
                total = total + torch.stack([tensor.torch().double() for tensor in sums])
            else:
                total = total + np.stack([np.array(dr.block_sum(c, per_round)) for c in values]).astype(np.float64)
        mean = (total / (rounds * per_round)).T.reshape(height, width, -1)
        none = np.zeros((0, 0, 3), np.float32)
        centres = self.centres(view) if exact else (none[..., 0].astype(np.uint8), none[..., 0], none)
        if device:
            return RenderBuffers(none, none, none, none, *centres, mean.float(), blurred)
        way = None
        if air is not None:
            with np.errstate(divide="ignore"):
                way = (-np.log(mean[..., -1]) / air.extinction).astype(np.float32)
        mean = mean.astype(np.float32)
        transmittance = mean[..., 9:12] if haze is not None else np.ones_like(mean[..., :3])
        albedo = np.clip(mean[..., 3:6], 0, 1)
        return RenderBuffers(mean[..., :3], albedo, mean[..., 6:9], transmittance, *centres, None, blurred, way)

    def _samples(self, view: View, per_pixel: int, seed: int, air: Air | None) -> list[Float]:
        """Return of each sample radiance, albedo, normal and, with haze, transmittance by channel, and what the air
        leaves of its light, evaluated."""
        import drjit as dr

        haze = self.world.spec.haze
        sampler = LatticeSampler(view.size[0] * view.size[1] * per_pixel, per_pixel, seed)
        rays = sampled_rays(view, self.world.spec.camera, sampler)
        integrator = self._integrator.at(sampled_times(sampler)) if self._geometry.moves else self._integrator
        radiance, first = integrator.trace(sampler, rays)
        values = [dr.select(rays.active & dr.isfinite(c), c, 0) for c in radiance] + [*first.albedo, *first.normal]
        if haze is not None:
            way = dr.maximum(first.distance - opaque_float(haze.start), 0)
            far = opaque_float(0.0 if haze.shafts > 0 else 1.0)
            density = [opaque_float(haze.density + c) for c in haze.absorb]
            values += [dr.select(first.distance < FAR, dr.exp(-c * way), far) for c in density]
        if air is not None:
            way = first.distance + dr.norm(rays.o - opaque_point(view.position))
            way = dr.minimum(way, opaque_float(air.top) / dr.maximum(rays.d.z, 1e-6))
            values.append(dr.exp(-opaque_float(air.extinction) * way))
        # All at once: a sum over blocks is a kernel of its own and would trace the paths anew for each value.
        dr.eval(values)
        return values

    def centres(self, view: View) -> tuple[NDArray[np.uint8], Array, Array]:
        """Return what is at the pixels' centres: instance, distance, shading normal."""
        import drjit as dr

        mi = mitsuba()
        width, height = view.size
        pixel = dr.arange(mi.UInt32, width * height)
        o, d, inside = camera_rays(view, self.world.spec.camera, pixel, 0.5, 0.5)
        hit = self._geometry.intersect(o, d, inside, coherent=True)
        hit = self._geometry.glass_before(hit, o, d, inside)
        valid = inside & (hit.face != NONE)
        surface = self._integrator.interaction(hit, d, valid)
        instance = self._geometry.number(hit.face, valid)
        distance = dr.select(valid, dr.norm(surface.p - opaque_point(view.position)), dr.inf)
        normal = dr.select(valid, surface.smooth, 0)
        dr.eval(instance, distance, normal)
        # One copy to the host: on a GPU each one waits for the device.
        found = np.array(dr.concat([mi.Float(instance), distance, *normal])).reshape(5, height, width)
        shading_normal = np.ascontiguousarray(np.moveaxis(found[2:], 0, -1))
        return found[0].astype(np.uint8), found[1].copy(), shading_normal
