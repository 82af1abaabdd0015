"""A built world to render: with the LLVM and CUDA variants by `tracer`, with the scalar one by Mitsuba's own paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, smooth_normals
from torchmultiverse.engines.builtin.stage import FOV, View, entry
from torchmultiverse.engines.builtin.tracer import DEPTH, SKIN, SLOTS, Array, Costume, Raw, Tracer
from torchmultiverse.engines.builtin.world import World

__all__ = ["SLOTS", "Costume", "Raw", "Stage"]

AUXILIARY_SAMPLES = 4


def _mitsuba() -> Any:
    """Return the module; its types depend on the variant, and its stubs describe only one."""
    import mitsuba

    return mitsuba


def _bsdf(material: Material, colored: bool) -> dict[str, Any]:
    mi = _mitsuba()
    wrap = "repeat" if material.repeat else "clamp"
    base: dict[str, Any]
    if material.color is not None:
        base = {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(material.color)), "wrap_mode": wrap}
    elif colored:
        base = {"type": "mesh_attribute", "name": "vertex_color"}
    else:
        base = {"type": "rgb", "value": 0.5}
    rough: Any = material.roughness
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
    mi = _mitsuba()
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
    mi = _mitsuba()
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
            "irradiance": {"type": "bitmap", "bitmap": mi.Bitmap(light.image), "raw": True},
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


def _part(name: str, material: Material, mesh: Mesh) -> Any:
    mi = _mitsuba()

    extra: dict[str, Array] = {}
    if mesh.colors is not None and material.color is None:
        extra["vertex_color"] = mesh.colors
    emitter: dict[str, Any] | None = None
    if material.emission > 0:
        radiance: dict[str, Any]
        if material.color is not None:
            # The gamma of the picture is undone here, because a radiance may exceed one.
            value = (material.color.astype(np.float32) / 255) ** 2.2 * material.emission
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
    bsdf = _bsdf(material, "vertex_color" in extra)
    return _make(name, mesh, bsdf, emitter, **extra)


_SKIN = {
    "type": "twosided",
    "nested": {
        "type": "principled",
        "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
        "roughness": {"type": "mesh_attribute", "name": "vertex_roughness"},
        "specular": SKIN.specular,
    },
}


def description(world: World) -> dict[str, Any]:
    """Return a world as what Mitsuba loads: sky, parts and lamps."""
    mi = _mitsuba()
    # The environment of `sky` has its azimuth from +x to +y; Mitsuba's runs the other way round, y up.
    upright = mi.ScalarTransform4f(np.array([[0, 0, -1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
    sky = mi.Bitmap(np.ascontiguousarray(world.environment[:, ::-1]))
    content: dict[str, Any] = {"type": "scene", "sky": {"type": "envmap", "bitmap": sky, "to_world": upright}}
    for k, part in enumerate(world.parts):
        content[f"part{k}"] = _part(f"part{k}", part.material, part.mesh)
    for k, light in enumerate(world.lights):
        content[f"light{k}"] = _lamp(light)
    return content


def character(name: str, costume: Costume) -> Any:
    """Return a character as a Mitsuba shape."""
    mesh = Mesh(costume.vertices, costume.faces, costume.normals)
    return _make(name, mesh, _SKIN, None, vertex_color=costume.color, vertex_roughness=costume.roughness)


def integrator(depth: int) -> Any:
    """Return Mitsuba's own path tracer."""
    return _mitsuba().load_dict({"type": "path", "max_depth": depth, "rr_depth": 3})


class Stage:
    """One world, loaded.

    Args:
        world: what to load.
        depth: longest light path.
    """

    def __init__(self, world: World, depth: int = DEPTH) -> None:
        self.world = world
        self._renderer = Scalar(world, depth) if _mitsuba().variant() == "scalar_rgb" else Tracer(world, depth)
        self._wearing: list[Costume | None] = [None] * SLOTS

    def dress(self, costumes: list[Costume | None]) -> None:
        """Put characters into the slots; nothing is done where they are there already."""
        if any(new is not old for new, old in zip(costumes, self._wearing, strict=True)):
            self._wearing = list(costumes)
            self._renderer.dress(self._wearing)

    def render(self, view: View, samples: int, seed: int) -> Raw:
        """Render what the slots wear."""
        return self._renderer.render(view, samples, seed)


class Scalar:
    """One world in Mitsuba's scalar variant, which needs no compiler.

    Args:
        world: what to load.
        depth: longest light path.
    """

    def __init__(self, world: World, depth: int) -> None:
        self.world = world
        self._content = description(world)
        self._path = integrator(depth)
        self.dress([None] * SLOTS)

    def dress(self, costumes: Sequence[Costume | None]) -> None:
        """Put characters into the slots. The scene is put together anew from the same parts."""
        self._slots = [character(f"slot{k}", c) if c else None for k, c in enumerate(costumes)]
        worn = {f"slot{k}": slot for k, slot in enumerate(self._slots) if slot is not None}
        self._scene = _mitsuba().load_dict(self._content | worn)

    def render(self, view: View, samples: int, seed: int) -> Raw:
        """Render what the slots wear."""
        mi = _mitsuba()

        width, height = view.size
        camera = self.world.spec.camera
        low, high = np.asarray(camera.low), np.asarray(camera.high)
        near = float(entry(view, low, high, view.rotation[2:3])[0])
        pose = np.eye(4)
        pose[:3, :3] = np.stack([-view.rotation[0], -view.rotation[1], view.rotation[2]], -1)
        pose[:3, 3] = view.position
        sensor = mi.load_dict(
            {
                "type": "perspective",
                "fov": FOV,
                "fov_axis": "smaller",
                "near_clip": max(near, 0.01),
                "far_clip": 1e5,
                "to_world": mi.ScalarTransform4f(pose),
                "film": {
                    "type": "hdrfilm",
                    "width": width,
                    "height": height,
                    "pixel_format": "rgb",
                    "component_format": "float32",
                    "rfilter": {"type": "box"},
                },
                "sampler": {"type": "independent", "sample_count": samples},
            }
        )
        integrator = mi.load_dict(
            {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,depth:depth", "image": self._path}
        )
        picture = np.array(mi.render(self._scene, sensor=sensor, integrator=integrator, spp=samples, seed=seed))
        color, albedo, normal, depth = picture[..., :3], picture[..., 3:6], picture[..., 6:9], picture[..., 9]
        shape, distance, facing = self._exact(view, low, high)
        sky = ~np.isfinite(distance)
        albedo = np.where(sky[..., None], 1, albedo)
        haze = self.world.spec.haze
        through = np.ones_like(color)
        if haze is not None:
            way = np.maximum(depth - haze.start, 0)[..., None]
            through = np.exp(-(haze.density + np.asarray(haze.absorb)) * way)
            through = np.where(sky[..., None], 0.0 if haze.shafts > 0 else 1.0, through)
        return Raw(
            np.nan_to_num(color).astype(np.float32),
            np.clip(albedo, 0, 1).astype(np.float32),
            normal.astype(np.float32),
            through.astype(np.float32),
            shape,
            distance,
            facing,
        )

    def _exact(self, view: View, low: Any, high: Any) -> tuple[NDArray[np.uint8], Array, Array]:
        mi = _mitsuba()

        width, height = view.size
        x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
        camera = np.stack([x / view.focal, y / view.focal, np.ones_like(x)], -1).reshape(-1, 3)
        directions = camera @ view.rotation
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        start = entry(view, low, high, directions)
        shape = np.zeros(width * height, np.uint8)
        distance = np.full(width * height, np.inf, np.float32)
        facing = np.zeros((width * height, 3), np.float32)
        slots = self._slots
        for k, direction in enumerate(directions):
            if start[k] < 0:
                continue
            ray = mi.Ray3f(list(view.position + direction * start[k]), list(direction))
            hit = self._scene.ray_intersect(ray)
            if hit.is_valid():
                distance[k] = hit.t + start[k]
                normal = np.array(hit.sh_frame.n)
                facing[k] = -normal if normal @ direction > 0 else normal
                shape[k] = next((n + 1 for n, slot in enumerate(slots) if slot is not None and hit.shape == slot), 0)
        return shape.reshape(height, width), distance.reshape(height, width), facing.reshape(height, width, 3)
