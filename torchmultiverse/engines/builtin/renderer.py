"""A built world to render: with the LLVM and CUDA variants by `tracer`, with the scalar one by Mitsuba's own paths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.lens import Lens
from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, linear, smooth_normals
from torchmultiverse.engines.builtin.motion import in_slices
from torchmultiverse.engines.builtin.placement import View, entry
from torchmultiverse.engines.builtin.surround import surround
from torchmultiverse.engines.builtin.tracer import (
    CHARACTER_MATERIAL,
    DEPTH,
    Air,
    Array,
    CharacterInstance,
    RenderBuffers,
    Tracer,
    character_triangles,
    concatenate_triangles,
    mesh_triangles,
    mitsuba,
    transmittance,
)
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.engines.builtin.world_conditions import WorldConditions, apply_conditions
from torchmultiverse.errors import SpecError

__all__ = ["CharacterInstance", "RenderBuffers", "WorldRenderer"]

AUXILIARY_SAMPLES = 4
_LIGHTS = 8
"""How many skies of a world are kept, six megabytes each."""
_SLICE = 104_729
"""Between the seeds of two slices of time."""


def _glass(material: Material, mesh: Mesh) -> dict[str, Any]:
    """Return glass as Mitsuba has it: what a body absorbs by its mean thickness, half of it at each surface."""
    color = transmittance(material, mesh)
    if material.glass < 0:
        through = {"type": "rgb", "value": color.tolist()}
        return {"type": "thindielectric", "int_ior": -material.glass, "specular_transmittance": through}
    through = {"type": "rgb", "value": np.sqrt(color).tolist()}
    smooth = material.roughness < 0.1
    body = {"type": "dielectric" if smooth else "roughdielectric", "int_ior": material.glass}
    return {**body, "specular_transmittance": through} | ({} if smooth else {"alpha": material.roughness**2})


def _bsdf(material: Material, mesh: Mesh, colored: bool, rough_vertices: bool) -> dict[str, Any]:
    mi = mitsuba()
    wrap = "repeat" if material.repeat else "clamp"
    base: dict[str, Any]
    if material.color is not None and mesh.colors is not None:
        # A texture here has one tint; that of a model's factors is the same at all vertices.
        value = (linear(material.color / 255) * mesh.colors.mean(0)).astype(np.float32)
        base = {"type": "bitmap", "bitmap": mi.Bitmap(value), "raw": True, "wrap_mode": wrap}
    elif material.color is not None:
        base = {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(material.color)), "wrap_mode": wrap}
    elif colored:
        base = {"type": "mesh_attribute", "name": "vertex_color"}
    else:
        base = {"type": "rgb", "value": 0.5}
    rough: Any = material.roughness
    if rough_vertices:
        rough = {"type": "mesh_attribute", "name": "vertex_roughness"}
    if material.rough is not None:
        values = np.ascontiguousarray(material.rough)[..., None]
        rough = {"type": "bitmap", "bitmap": mi.Bitmap(values), "raw": True, "wrap_mode": wrap}
    inner: dict[str, Any]
    if material.specular <= 0:
        inner = {"type": "diffuse", "reflectance": base}
    else:
        inner = {
            "type": "principled",
            "base_color": base,
            "roughness": rough,
            "specular": material.specular,
        }
        if material.metallic:
            inner["metallic"] = material.metallic
        if material.coat:
            inner |= {"clearcoat": material.coat, "clearcoat_gloss": 0.9}
    inner = {"type": "twosided", "nested": inner}
    if material.height is not None:
        bitmap = mi.Bitmap(np.ascontiguousarray(material.height)[..., None])
        inner = {
            "type": "bumpmap",
            "arbitrary": {"type": "bitmap", "bitmap": bitmap, "raw": True, "wrap_mode": wrap},
            "nested": inner,
        }
    return inner


def _make(name: str, mesh: Mesh, bsdf: dict[str, Any], emitter: dict[str, Any] | None, **extra: Array) -> Any:
    """Return a Mitsuba mesh."""
    mi = mitsuba()
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(bsdf)
    if emitter is not None:
        properties["emitter"] = mi.load_dict(emitter)
    made = mi.Mesh(
        name,
        len(mesh.vertices),
        len(mesh.faces),
        props=properties,
        has_vertex_normals=True,
        has_vertex_texcoords=mesh.uv is not None,
    )
    for key, values in extra.items():
        made.add_attribute(key, values.size // len(mesh.vertices), np.ascontiguousarray(values, np.float32).ravel())
    params = mi.traverse(made)
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    _assign(params, "vertex_positions", mesh.vertices)
    _assign(params, "faces", mesh.faces)
    _assign(params, "vertex_normals", normals)
    if mesh.uv is not None:
        _assign(params, "vertex_texcoords", mesh.uv)
    params.update()
    return made


def _assign(params: Any, key: str, values: NDArray[Any]) -> None:
    params[key] = type(params[key])(np.ascontiguousarray(values).ravel())


def _lamp(light: Light) -> dict[str, Any]:
    mi = mitsuba()
    power = {"type": "rgb", "value": list(light.power)}
    if light.target is None:
        return {"type": "point", "position": list(light.position), "intensity": power}
    up = (
        [0, 1, 0]
        if abs(light.position[2] - light.target[2]) > 0.9 * np.ptp([light.position, light.target])
        else [0, 0, 1]
    )
    pose = mi.ScalarTransform4f().look_at(origin=list(light.position), target=list(light.target), up=up)
    if light.image is not None:
        return {
            "type": "projector",
            "irradiance": {"type": "bitmap", "bitmap": mi.Bitmap(light.image), "raw": True, "wrap_mode": "clamp"},
            "scale": float(np.mean(light.power)),
            "fov": light.cone,
            "to_world": pose,
        }
    return {
        "type": "spot",
        "intensity": power,
        "cutoff_angle": light.cone,
        "beam_width": light.cone * 0.6,
        "to_world": pose,
    }


def _part(name: str, material: Material, mesh: Mesh, roughness: Array | None = None) -> Any:
    """Return a part as a Mitsuba mesh; the roughness is that of its vertices, where it is not the material's."""
    mi = mitsuba()
    if material.glass:
        return _make(name, mesh, _glass(material, mesh), None)
    extra: dict[str, Array] = {}
    if roughness is not None and material.rough is None and material.specular > 0:
        extra["vertex_roughness"] = roughness
    if mesh.colors is not None and material.color is None:
        extra["vertex_color"] = mesh.colors
    emitter: dict[str, Any] | None = None
    if material.emission > 0:
        radiance: dict[str, Any]
        if material.color is not None:
            # The gamma of the picture is undone here, because a radiance may exceed one.
            value = linear(material.color / 255) * material.emission
            wrap = "repeat" if material.repeat else "clamp"
            radiance = {
                "type": "bitmap",
                "bitmap": mi.Bitmap(value.astype(np.float32)),
                "raw": True,
                "wrap_mode": wrap,
            }
        elif mesh.colors is not None and not material.samples_light:
            extra["vertex_emission"] = mesh.colors * np.float32(material.emission)
            radiance = {"type": "mesh_attribute", "name": "vertex_emission"}
        else:
            tint = mesh.colors.mean(0) if mesh.colors is not None else np.ones(3)
            radiance = {"type": "rgb", "value": [float(c) * material.emission for c in tint]}
        emitter = {"type": "area", "radiance": radiance, "sampling_weight": 1.0 if material.samples_light else 0.0}
    bsdf = _bsdf(material, mesh, "vertex_color" in extra, "vertex_roughness" in extra)
    return _make(name, mesh, bsdf, emitter, **extra)


_CHARACTER_BSDF = {
    "type": "twosided",
    "nested": {
        "type": "principled",
        "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
        "roughness": {"type": "mesh_attribute", "name": "vertex_roughness"},
        "specular": CHARACTER_MATERIAL.specular,
    },
}


def description(world: World, before: Mapping[int, Any] | None = None) -> dict[str, Any]:
    """Return a world as what Mitsuba loads: sky, parts and lamps.

    Args:
        world: what to load.
        before: parts that have been loaded, by number.
    """
    mi = mitsuba()
    # The environment of `sky` has its azimuth from +x to +y; Mitsuba's runs the other way round, y up.
    upright = mi.ScalarTransform4f(np.array([[0, 0, -1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
    sky = mi.Bitmap(np.ascontiguousarray(world.environment[:, ::-1]))
    content: dict[str, Any] = {"type": "scene", "sky": {"type": "envmap", "bitmap": sky, "to_world": upright}}
    before = before or {}
    for k, part in enumerate(world.parts):
        content[f"part{k}"] = before[k] if k in before else _part(f"part{k}", part.material, part.mesh)
    for k, light in enumerate(world.lights):
        content[f"light{k}"] = _lamp(light)
    return content


def character_shapes(name: str, character: CharacterInstance) -> dict[str, Any]:
    """Return a character as Mitsuba shapes, one for each of its parts, by name."""
    c = character
    if c.parts:
        ends = np.cumsum([len(part.mesh.vertices) for part in c.parts])
        rough = np.split(c.roughness, ends[:-1])
        return {
            f"{name}_{k}": _part(f"{name}_{k}", part.material, part.mesh, values)
            for k, (part, values) in enumerate(zip(c.parts, rough, strict=True))
        }
    mesh = Mesh(c.vertices, c.faces, c.normals)
    return {name: _make(name, mesh, _CHARACTER_BSDF, None, vertex_color=c.color, vertex_roughness=c.roughness)}


def integrator(depth: int) -> Any:
    """Return Mitsuba's own path tracer."""
    return mitsuba().load_dict({"type": "path", "max_depth": depth, "rr_depth": 1})


class WorldRenderer:
    """One world, loaded.

    Args:
        world: what to load.
        depth: longest light path.
    """

    def __init__(self, world: World, depth: int = DEPTH) -> None:
        self.world = self.base = world
        self._lit: OrderedDict[WorldConditions, World] = OrderedDict()
        self._renderer = ScalarRenderer(world, depth) if mitsuba().variant() == "scalar_rgb" else Tracer(world, depth)
        self._surround: tuple[World, Array] | None = None
        self._shown: list[CharacterInstance | None] = []
        self._numbered = 0

    def change(self, asked: WorldConditions) -> None:
        """Light and cover the world that has been loaded as its conditions ask for; no mesh is loaded anew.

        The last few are kept: a sky takes a tenth of a second.

        Raises:
            SpecError: a world that has no sun to move or no lamps; water or snow on it in the scalar variant.
        """
        for name, level in (("Wetness", asked.wetness), ("Snow_Cover", asked.snow_cover)):
            if level and isinstance(self._renderer, ScalarRenderer):
                raise SpecError(f"{name} = {level:g}: scalar_rgb draws none; take the variant llvm_ad_rgb")
        world = self._lit.pop(asked, None) or apply_conditions(self.base, asked)
        self._lit[asked] = world
        if len(self._lit) > _LIGHTS:
            self._lit.popitem(last=False)
        if world is self.world:
            return
        self.world = world
        if self._renderer.relight(world):
            self._shown = []

    def set_characters(
        self, characters: list[CharacterInstance | None], scenery: Sequence[CharacterInstance] = ()
    ) -> None:
        """Put characters into as many slots; nothing is done where they are there already.

        Args:
            characters: one for each number of a mask, from 1.
            scenery: what stands before them and is no character: its number in masks is 0.
        """
        shown = [*characters, *scenery]
        self._numbered = len(characters)
        same = len(shown) == len(self._shown)
        if not same or any(new is not old for new, old in zip(shown, self._shown, strict=True)):
            self._shown = shown
            self._renderer.set_characters(shown)

    def instances(self, view: View) -> NDArray[np.uint8]:
        """Return the number of the character at each pixel's centre (H, W), 0 where there is none."""
        return self._characters_of(self._renderer.centres(view)[0])

    def _characters_of(self, slots: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what is in slots: in those after the characters' there is scenery."""
        return slots if len(self._shown) == self._numbered else np.where(slots > self._numbered, np.uint8(0), slots)

    def surround(self) -> Array:
        """Return the light from all sides in the world's middle (see `surround`); its characters leave for that."""
        if self._surround is None or self._surround[0] is not self.world:
            self.set_characters([])
            self._surround = (self.world, surround(self.world, self.render))
        return self._surround[1]

    def render(
        self,
        view: View,
        samples: int,
        seed: int,
        device: bool = False,
        exact: bool = True,
        air: Air | None = None,
    ) -> RenderBuffers:
        """Render the world and the characters in it.

        Args:
            view, samples, seed: from where, how well, and with which random numbers.
            device: leave the colour there, as a torch tensor.
            exact: whether what is at the pixels' centres is wanted; a renderer may find it all the same.
            air: what is in it, which a renderer may take for the blurred places of a picture.
        """
        renderer = self._renderer
        shafts = self.world.spec.haze is not None and self.world.spec.haze.shafts > 0  # which end at surfaces
        if renderer.sliced and any(c is not None and any(c.motion) for c in self._shown):

            def take(count: int, number: int, last: bool) -> RenderBuffers:
                return renderer.render(view, count, seed + _SLICE * number, False, (exact or shafts) and last)

            buffers = in_slices(self._shown, samples, renderer.set_characters, take)
        else:
            buffers = renderer.render(view, samples, seed, device, exact or shafts, air)
        buffers.instance = self._characters_of(buffers.instance)
        return buffers

    def labels(self, view: View) -> RenderBuffers:
        """Return what is at the pixels' centres, without a picture."""
        none = np.zeros((0, 0, 3), np.float32)
        slots, distance, normal = self._renderer.centres(view)
        return RenderBuffers(none, none, none, none, self._characters_of(slots), distance, normal)


class ScalarRenderer:
    """One world in Mitsuba's scalar variant, which needs no compiler.

    Args:
        world: what to load.
        depth: longest light path.

    Attributes:
        sliced: whether what moves has to stand still in slices of time.
    """

    sliced = True

    def __init__(self, world: World, depth: int) -> None:
        self.world = world
        self._content = description(world)
        self._static = [mesh_triangles(part.mesh, 0, 0) for part in world.parts]
        self._path = integrator(depth)
        self.set_characters([])

    def relight(self, world: World) -> bool:
        """See `Tracer.relight`; parts that emit otherwise are made anew."""
        pairs = list(zip(world.parts, self.world.parts, strict=True))
        if any(new.mesh is not old.mesh for new, old in pairs):
            raise ValueError(f"{world.name}: its meshes are not those that are loaded")
        same = {k: self._content[f"part{k}"] for k, (new, old) in enumerate(pairs) if new is old}
        self.world = world
        self._content = description(world, same)
        self.set_characters([])
        return True

    def set_characters(self, characters: Sequence[CharacterInstance | None]) -> None:
        """Put characters into as many slots. The scene is put together anew from the same parts."""
        self._slots = [character_shapes(f"slot{k}", c) if c else {} for k, c in enumerate(characters)]
        present = {name: shape for slot in self._slots for name, shape in slot.items()}
        self._scene = mitsuba().load_dict(self._content | present)
        meshes = [triangles for c in characters if c for _, triangles in character_triangles(c, 0, 0)]
        self._triangles = concatenate_triangles(self._static + meshes)
        self._first = np.cumsum([0, *(len(t.corners) for t in self._static + meshes)])

    def render(
        self,
        view: View,
        samples: int,
        seed: int,
        device: bool = False,
        exact: bool = True,
        air: Air | None = None,
    ) -> RenderBuffers:
        """Render the world and the characters in it; all of it, on the host.

        Raises:
            SpecError: a lens that distorts.
        """
        if view.lens.distortion:
            level = view.lens.distortion * (min(view.size) / 2 / view.focal) ** 2
            raise SpecError(
                f"Camera_Distortion = {level:.3g}: scalar_rgb draws no distortion; llvm_ad_rgb or cuda_ad_rgb does"
            )
        color = self._render(view, samples, seed, self._path)
        first = {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,depth:depth"}
        maps = self._render(view, AUXILIARY_SAMPLES, seed, mitsuba().load_dict(first))
        albedo, normal, depth = maps[..., :3], maps[..., 3:6], maps[..., 6:]
        instance, distance, shading_normal = self.centres(view)
        sky = ~np.isfinite(distance)
        albedo = np.where(sky[..., None], 1, albedo)
        haze = self.world.spec.haze
        transmittance = np.ones_like(color)
        if haze is not None:
            way = np.maximum(depth - haze.start, 0)
            transmittance = np.exp(-(haze.density + np.asarray(haze.absorb)) * way)
            transmittance = np.where(sky[..., None], 0.0 if haze.shafts > 0 else 1.0, transmittance)
        return RenderBuffers(
            np.nan_to_num(color).astype(np.float32),
            np.clip(albedo, 0, 1).astype(np.float32),
            normal.astype(np.float32),
            transmittance.astype(np.float32),
            instance,
            distance,
            shading_normal,
            noisy_maps=view.lens.aperture > 0,
        )

    def centres(self, view: View) -> tuple[NDArray[np.uint8], Array, Array]:
        """Return what is at the pixels' centres: one sample without jitter."""
        first = {"type": "aov", "aovs": "at:position,shape:shape_index,face:prim_index"}
        values = self._render(replace(view, lens=Lens()), 1, 0, mitsuba().load_dict(first))
        at, index, face = values[..., :3].astype(float), values[..., 3].astype(int), values[..., 4].astype(int)
        hit = index > 0  # shapes are counted from 1
        instance = np.zeros(index.shape, np.uint8)
        shapes = self._scene.shapes()
        for k, slot in enumerate(self._slots):
            for shape in slot.values():
                instance[index == shapes.index(shape) + 1] = k + 1
        # The vertices' normals, without the relief that the AOV of that name has in it.
        rows = self._triangles
        corners = rows.points[rows.corners[np.where(hit, self._first[index - 1] + face, 0), :3]].astype(float)
        a, b, c = np.moveaxis(corners[..., :3], -2, 0)
        across = np.cross(b - a, c - a)
        double = np.maximum((across**2).sum(-1), 1e-30)
        v = (np.cross(at - a, c - a) * across).sum(-1) / double
        w = (np.cross(b - a, at - a) * across).sum(-1) / double
        normal = (np.stack([1 - v - w, v, w], -1)[..., None] * corners[..., 4:7]).sum(-2)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
        away = at - view.position
        normal = np.where((normal * away).sum(-1, keepdims=True) > 0, -normal, normal)
        distance = np.where(hit, np.linalg.norm(away, axis=-1), np.inf)
        return instance, distance.astype(np.float32), np.where(hit[..., None], normal, 0).astype(np.float32)

    def _render(self, view: View, samples: int, seed: int, integrator: Any) -> Array:
        """Return what an integrator finds for each pixel, (H, W, …)."""
        mi = mitsuba()
        width, height = view.size
        camera = self.world.spec.camera
        near = float(entry(view, np.asarray(camera.low), np.asarray(camera.high), view.rotation[2:3])[0])
        pose = np.eye(4)
        pose[:3, :3] = np.stack([-view.rotation[0], -view.rotation[1], view.rotation[2]], -1)
        pose[:3, 3] = view.position
        film = {
            "type": "hdrfilm",
            "width": width,
            "height": height,
            "pixel_format": "rgb",
            "component_format": "float32",
            "rfilter": {"type": "box"},
        }
        lens: dict[str, Any] = {"type": "perspective"}
        if view.lens.aperture:
            lens = {
                "type": "thinlens",
                "aperture_radius": view.lens.aperture / 2,
                "focus_distance": view.lens.focus,
            }
        sensor = mi.load_dict(
            {
                **lens,
                "fov": view.opening,
                "fov_axis": "smaller",
                "near_clip": max(near, 0.01),
                "far_clip": 1e5,
                "to_world": mi.ScalarTransform4f(pose),
                "film": film,
                "sampler": {"type": "stratified", "sample_count": samples, "jitter": samples > 1},
            }
        )
        return np.array(mi.render(self._scene, sensor=sensor, integrator=integrator, spp=samples, seed=seed))
