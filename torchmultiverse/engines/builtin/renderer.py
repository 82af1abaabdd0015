"""A built world inside Mitsuba: few merged meshes, two character slots whose buffers are replaced, and the passes.

With the LLVM and CUDA variants the camera's rays are made here and summed pixel by pixel in a fixed order, so that
the same seed gives the same bytes; the scalar variant uses Mitsuba's own camera and film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, smooth_normals
from torchmultiverse.engines.builtin.stage import FOV, View, entry
from torchmultiverse.engines.builtin.world import World

SLOTS = 2
DEPTH = 4
AUXILIARY_SAMPLES = 4
_WAVEFRONT = 1 << 23
_PARKED = np.array([[0, 0, -900], [0.01, 0, -900], [0, 0.01, -900]], np.float32)

Array = NDArray[np.float32]


@dataclass
class Costume:
    """What one slot wears for one picture: arrays in world coordinates."""

    vertices: Array
    faces: NDArray[np.uint32]
    normals: Array
    color: Array
    roughness: Array


_EMPTY = Costume(
    _PARKED,
    np.array([[0, 1, 2]], np.uint32),
    np.tile(np.array([0, 0, 1], np.float32), (3, 1)),
    np.full((3, 3), 0.5, np.float32),
    np.full(3, 0.5, np.float32),
)
"""A speck far below the ground."""


@dataclass
class Raw:
    """What the renderer returns, all (H, W, …), linear and not denoised.

    Attributes:
        color: radiance (H, W, 3).
        albedo, normal: of the first surface, world coordinates, averaged over the pixel.
        through: share of light that reaches the eye through haze, by colour.
        shape: number of the character's slot + 1, or 0 for the world, at the pixel's centre.
        distance: along the ray through the pixel's centre, inf for sky.
        facing: shading normal there, world coordinates, 0 for sky.
    """

    color: Array
    albedo: Array
    normal: Array
    through: Array
    shape: NDArray[np.uint8]
    distance: Array
    facing: Array


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


class Stage:
    """One world loaded into Mitsuba.

    Args:
        world: what to load.
        depth: longest light path.
    """

    def __init__(self, world: World, depth: int = DEPTH) -> None:
        mi = _mitsuba()

        self.world = world
        self._jit = mi.variant() != "scalar_rgb"
        # The environment of `sky` has its azimuth from +x to +y; Mitsuba's runs the other way round, y up.
        upright = mi.ScalarTransform4f(np.array([[0, 0, -1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
        scene: dict[str, Any] = {
            "type": "scene",
            "sky": {
                "type": "envmap",
                "bitmap": mi.Bitmap(np.ascontiguousarray(world.environment[:, ::-1])),
                "to_world": upright,
            },
        }
        for k, part in enumerate(world.parts):
            scene[f"part{k}"] = self._part(f"part{k}", part.material, part.mesh)
        for k, light in enumerate(world.lights):
            scene[f"light{k}"] = _lamp(light)
        skin = {
            "type": "twosided",
            "nested": {
                "type": "principled",
                "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
                "roughness": {"type": "mesh_attribute", "name": "vertex_roughness"},
                "specular": 0.35,
            },
        }
        self._skin = skin
        self._slots = [self._slot(k, _EMPTY) for k in range(SLOTS)]
        for k, slot in enumerate(self._slots):
            scene[f"slot{k}"] = slot
        if not self._jit:
            scene["eye"] = {
                "type": "perspective",
                "fov": FOV,
                "fov_axis": "smaller",
                "film": {"type": "hdrfilm", "width": 16, "height": 16, "rfilter": {"type": "box"}},
            }
        self._content = scene
        self._scene = mi.load_dict(scene)
        self._params = mi.traverse(self._scene)
        self._path = mi.load_dict({"type": "path", "max_depth": depth, "rr_depth": 3})
        self._wearing: list[Costume | None] = [None] * SLOTS

    def _part(self, name: str, material: Material, mesh: Mesh) -> Any:
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

    def _slot(self, k: int, costume: Costume) -> Any:
        mesh = Mesh(costume.vertices, costume.faces, costume.normals)
        attributes = {"vertex_color": costume.color, "vertex_roughness": costume.roughness}
        return _make(f"slot{k}", mesh, self._skin, None, **attributes)

    def dress(self, costumes: list[Costume | None]) -> None:
        """Put characters into the slots; only what changed is sent."""
        mi = _mitsuba()

        changed = False
        for k, costume in enumerate(costumes):
            if costume is self._wearing[k]:
                continue
            changed = True
            self._wearing[k] = costume
            worn = costume or _EMPTY
            if not self._jit:
                self._slots[k] = self._content[f"slot{k}"] = self._slot(k, worn)
                continue
            _assign(self._params, f"slot{k}.vertex_positions", worn.vertices)
            _assign(self._params, f"slot{k}.faces", worn.faces)
            _assign(self._params, f"slot{k}.vertex_normals", worn.normals)
            _assign(self._params, f"slot{k}.vertex_color", worn.color)
            _assign(self._params, f"slot{k}.vertex_roughness", worn.roughness)
        if changed and self._jit:
            self._params.update()
        elif changed:
            # The scalar variant's buffers keep their size, so the scene is put together anew from the same parts.
            self._scene = mi.load_dict(self._content)

    def render(self, view: View, samples: int, seed: int) -> Raw:
        """Render what the slots wear."""
        return self._render_jit(view, samples, seed) if self._jit else self._render_scalar(view, samples, seed)

    # -- LLVM and CUDA ----------------------------------------------------------------------------------------------

    def _rays(self, view: View, per_pixel: int, offset: Any) -> tuple[Any, Any]:
        """Return rays, ``per_pixel`` in a row for each pixel, and which of them are inside the world's bounds."""
        import drjit as dr

        mi = _mitsuba()

        width, height = view.size
        pixel = dr.arange(mi.UInt32, width * height * per_pixel) // per_pixel
        row = pixel // width
        x = mi.Float(pixel - row * width) + offset.x
        y = mi.Float(row) + offset.y
        # Opaque values: a camera that moves does not compile anew.
        rotation = [[dr.opaque(mi.Float, float(v)) for v in axis] for axis in view.rotation]
        focal = dr.opaque(mi.Float, view.focal)
        u, v = (x - width / 2) / focal, (y - height / 2) / focal
        direction = dr.normalize(
            mi.Vector3f(*(rotation[0][k] * u + rotation[1][k] * v + rotation[2][k] for k in range(3)))
        )
        origin = mi.Point3f(*(dr.opaque(mi.Float, float(c)) for c in view.position))
        camera = self.world.spec.camera
        low, high = mi.Point3f(*camera.low), mi.Point3f(*camera.high)
        inverse = 1 / direction
        a, b = (low - origin) * inverse, (high - origin) * inverse
        near, far = dr.max(dr.minimum(a, b)), dr.min(dr.maximum(a, b))
        near = dr.maximum(near, 0)
        return mi.RayDifferential3f(origin + direction * near, direction), far > near

    def _render_jit(self, view: View, samples: int, seed: int) -> Raw:
        import drjit as dr

        mi = _mitsuba()

        width, height = view.size
        pixels = width * height
        rounds = -(-pixels * samples // _WAVEFRONT)
        per_round = -(-samples // rounds)
        total = np.zeros((3, pixels), np.float64)
        for k in range(rounds):
            sampler = mi.load_dict({"type": "independent", "sample_count": per_round})
            sampler.seed(dr.opaque(mi.UInt32, (seed + 7919 * k) & 0xFFFFFFFF), pixels * per_round)
            ray, inside = self._rays(view, per_round, sampler.next_2d())
            radiance, _, _ = self._path.sample(self._scene, sampler, ray, None, inside)
            values = [dr.select(inside & dr.isfinite(c), c, 0) for c in radiance]
            # All at once: a sum over blocks is a kernel of its own and would trace the paths anew for each colour.
            dr.eval(values)
            sums = [dr.block_sum(c, per_round) for c in values]
            total += np.stack([np.array(c) for c in sums])
        color = (total / (rounds * per_round)).T.reshape(height, width, 3).astype(np.float32)
        auxiliary = self._auxiliary(view, seed)
        shape, distance, facing = self._exact(view)
        return Raw(color, *auxiliary, shape, distance, facing)

    def _auxiliary(self, view: View, seed: int) -> tuple[Array, Array, Array]:
        import drjit as dr

        mi = _mitsuba()

        n, (width, height) = AUXILIARY_SAMPLES, view.size
        sampler = mi.load_dict({"type": "independent", "sample_count": n})
        sampler.seed(dr.opaque(mi.UInt32, seed ^ 0x5BD1E995), width * height * n)
        ray, inside = self._rays(view, n, sampler.next_2d())
        hit = self._scene.ray_intersect(ray, mi.RayFlags.All, False, inside)
        valid = hit.is_valid() & inside
        albedo = dr.select(valid, hit.bsdf().eval_diffuse_reflectance(hit, valid), 1)
        normal = dr.select(valid, hit.sh_frame.n, 0)
        haze = self.world.spec.haze
        values = [*albedo, *normal]
        if haze is not None:
            way = dr.maximum(dr.select(valid, hit.t, 1e4) - haze.start, 0)
            far = 0.0 if haze.shafts > 0 else 1.0
            values += [dr.select(valid, dr.exp(-(haze.density + k) * way), far) for k in haze.absorb]
        dr.eval(values)
        sums = [dr.block_sum(v, n) for v in values]
        maps = (np.stack([np.array(v) for v in sums], -1) / n).reshape(height, width, -1).astype(np.float32)
        through = maps[..., 6:9] if haze is not None else np.ones_like(maps[..., :3])
        return np.clip(maps[..., :3], 0, 1), maps[..., 3:6], through

    def _exact(self, view: View) -> tuple[NDArray[np.uint8], Array, Array]:
        import drjit as dr

        mi = _mitsuba()

        width, height = view.size
        ray, inside = self._rays(view, 1, mi.Point2f(0.5, 0.5))
        hit = self._scene.ray_intersect(ray, mi.RayFlags.All, True, inside)
        valid = hit.is_valid() & inside
        shape = mi.UInt32(0)
        for k, slot in enumerate(self._slots):
            shape = dr.select(valid & (hit.shape == mi.ShapePtr(slot)), k + 1, shape)
        eye = mi.Point3f(*(dr.opaque(mi.Float, float(c)) for c in view.position))
        distance = dr.select(valid, dr.norm(hit.p - eye), dr.inf)
        normal = dr.select(valid, hit.sh_frame.n, 0)
        normal = dr.select(dr.dot(normal, ray.d) > 0, -normal, normal)
        dr.eval(shape, distance, normal)
        return (
            np.array(shape).astype(np.uint8).reshape(height, width),
            np.array(distance).astype(np.float32).reshape(height, width),
            np.array(normal).astype(np.float32).T.reshape(height, width, 3),
        )

    # -- scalar -----------------------------------------------------------------------------------------------------

    def _render_scalar(self, view: View, samples: int, seed: int) -> Raw:
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
        shape, distance, facing = self._exact_scalar(view, low, high)
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

    def _exact_scalar(self, view: View, low: Any, high: Any) -> tuple[NDArray[np.uint8], Array, Array]:
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
                shape[k] = next((n + 1 for n, slot in enumerate(slots) if hit.shape == slot), 0)
        return shape.reshape(height, width), distance.reshape(height, width), facing.reshape(height, width, 3)
