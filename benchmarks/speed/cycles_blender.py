"""The half of `cycles.py` that runs in Blender's Python: renders what that script exported, and writes times.

    PYTHON-WITH-bpy -I benchmarks/speed/cycles_blender.py FOLDER

``FOLDER/job.json`` says what; each picture becomes a linear EXR beside it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector


def image_of(name: str, values: np.ndarray, linear: bool) -> Any:
    """Return an image of float32 (H, W) or (H, W, 3), first row at v = 0; ``linear``: data, or linear radiance."""
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, -1)
    image = bpy.data.images.new(name, values.shape[1], values.shape[0], float_buffer=linear)
    image.colorspace_settings.name = "Non-Color" if linear else "sRGB"
    flat = np.concatenate([values, np.ones_like(values[..., :1])], -1).astype(np.float32).ravel()
    image.pixels.foreach_set(flat)
    return image


def material_of(name: str, facts: dict[str, Any], arrays: Any) -> Any:
    """Return a material: a principled surface with its maps, its relief and the light that it emits."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    surface = nodes["Principled BSDF"]
    surface.inputs["Metallic"].default_value = facts["metallic"]
    surface.inputs["Roughness"].default_value = facts["roughness"]
    surface.inputs["Specular IOR Level"].default_value = facts["specular"]

    def texture(kind: str, values: np.ndarray, linear: bool) -> Any:
        node = nodes.new("ShaderNodeTexImage")
        node.image = image_of(f"{name}-{kind}", values, linear)
        node.extension = "REPEAT" if facts["repeat"] else "EXTEND"
        return node.outputs["Color"]

    color = None
    surface.inputs["Base Color"].default_value = (0.5, 0.5, 0.5, 1)
    if "color" in arrays:
        color = texture("color", arrays["color"].astype(np.float32) / 255, linear=False)
    elif "colors" in arrays:
        node = nodes.new("ShaderNodeVertexColor")
        node.layer_name = "colors"
        color = node.outputs["Color"]
    if color is not None:
        links.new(color, surface.inputs["Base Color"])
    if "rough" in arrays:
        links.new(texture("rough", arrays["rough"].astype(np.float32) / 255, linear=True), surface.inputs["Roughness"])
    elif "roughnesses" in arrays:
        node = nodes.new("ShaderNodeAttribute")
        node.attribute_name = "roughnesses"
        links.new(node.outputs["Fac"], surface.inputs["Roughness"])
    if "height" in arrays:
        bump = nodes.new("ShaderNodeBump")  # heights in metres
        bump.inputs["Distance"].default_value = 1.0
        links.new(texture("height", arrays["height"], linear=True), bump.inputs["Height"])
        links.new(bump.outputs["Normal"], surface.inputs["Normal"])
    if facts["emission"] > 0:
        surface.inputs["Emission Strength"].default_value = facts["emission"]
        surface.inputs["Emission Color"].default_value = (*facts["tint"], 1)
        if facts["tinted"] and color is not None:
            links.new(color, surface.inputs["Emission Color"])
    material.cycles.emission_sampling = "AUTO" if facts["samples_light"] else "NONE"
    return material


def object_of(name: str, facts: dict[str, Any], arrays: Any) -> Any:
    """Return an object of exported arrays, not yet linked into the scene."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(arrays["vertices"].tolist(), [], arrays["faces"].tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    if "normals" in arrays:
        mesh.normals_split_custom_set_from_vertices(arrays["normals"].tolist())
    if "uv" in arrays:
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        mesh.uv_layers.new().data.foreach_set("uv", arrays["uv"][corners].astype(np.float32).ravel())
    if "colors" in arrays:
        colors = np.concatenate([arrays["colors"], np.ones_like(arrays["colors"][:, :1])], 1).astype(np.float32)
        mesh.color_attributes.new("colors", "FLOAT_COLOR", "POINT").data.foreach_set("color", colors.ravel())
    if "roughnesses" in arrays:
        values = arrays["roughnesses"].astype(np.float32)
        mesh.attributes.new("roughnesses", "FLOAT", "POINT").data.foreach_set("value", values)
    mesh.materials.append(material_of(name, facts, arrays))
    return bpy.data.objects.new(name, mesh)


def lamp_of(name: str, facts: dict[str, Any]) -> Any:
    """Return a lamp; its power is the radiant intensity by colour times the whole sphere."""
    power = np.asarray(facts["power"])
    data = bpy.data.lights.new(name, "POINT" if facts["target"] is None else "SPOT")
    data.color = (power / power.max()).tolist()
    data.energy = float(power.max()) * 4 * np.pi
    data.shadow_soft_size = 0.0
    lamp = bpy.data.objects.new(name, data)
    lamp.location = facts["position"]
    if facts["target"] is not None:
        data.spot_size, data.spot_blend = 2 * np.radians(facts["cone"]), 0.4
        lamp.rotation_mode = "QUATERNION"
        lamp.rotation_quaternion = (Vector(facts["target"]) - Vector(facts["position"])).to_track_quat("-Z", "Y")
    return lamp


def settle(scene: Any, job: dict[str, Any]) -> None:
    """Make both renderers do the same work: bounces, pixel filter, no clamping, no adaptive stop, the same denoiser."""
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = job["size"]
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = True
    scene.render.film_transparent = False
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    cycles = scene.cycles
    cycles.device = "CPU"
    cycles.use_adaptive_sampling = False
    cycles.pixel_filter_type = "BOX"
    cycles.sample_clamp_direct = cycles.sample_clamp_indirect = 0.0
    cycles.blur_glossy = 0.0
    for kind in ("max", "diffuse", "glossy", "transmission"):
        setattr(cycles, f"{kind}_bounces", job["bounces"])
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = "NONE"  # as ours, whose buffers come from the same samples


def build(world: dict[str, Any], folder: Path, job: dict[str, Any]) -> Any:
    """Return the scene of a world, with its sky, parts, lamps and a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    for k, facts in enumerate(world["parts"]):
        with np.load(folder / f"part{k}.npz") as arrays:
            scene.collection.objects.link(object_of(f"part{k}", facts, dict(arrays)))
    for k, facts in enumerate(world["lamps"]):
        scene.collection.objects.link(lamp_of(f"lamp{k}", facts))
    sky = scene.world = bpy.data.worlds.new("sky")
    sky.use_nodes = True
    node = sky.node_tree.nodes.new("ShaderNodeTexEnvironment")
    node.image = image_of("sky", np.load(folder / "sky.npy")[::-1], linear=True)  # its first row is the zenith
    sky.node_tree.links.new(node.outputs["Color"], sky.node_tree.nodes["Background"].inputs["Color"])
    eye = bpy.data.cameras.new("eye")
    eye.clip_end = 1e5
    scene.camera = bpy.data.objects.new("eye", eye)
    scene.collection.objects.link(scene.camera)
    settle(scene, job)
    return scene


def cpu() -> float:
    """Return the CPU seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Render everything that the job names; the first picture of each number of samples warms up."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    skin = {"metallic": 0.0, "roughness": 0.7, "emission": 0.0, "samples_light": False, "repeat": False}
    skin["specular"] = job["character_specular"]
    times: list[dict[str, Any]] = []
    for world in job["worlds"]:
        home = folder / world["name"]
        scene = build(world, home, job)
        animals = []
        for k in range(len(world["pictures"])):
            with np.load(home / f"animal{k}.npz") as arrays:
                animals.append(object_of(f"animal{k}", skin, dict(arrays)))
        for samples in [*job["samples"], job["reference"]]:
            reference = samples == job["reference"]
            scene.cycles.samples = samples
            scene.cycles.use_denoising = not reference
            scene.cycles.seed = 1000 if reference else 1
            for k, picture in enumerate(world["pictures"]):
                if reference and k == 0:
                    continue
                scene.collection.objects.link(animals[k])
                scene.camera.matrix_world = Matrix(picture["pose"])
                scene.camera.data.angle = np.radians(picture["fov"])
                scene.camera.data.clip_start = picture["near"]
                used, start = cpu(), time.perf_counter()
                bpy.ops.render.render()
                times.append(
                    {"world": world["name"], "picture": k, "samples": samples, "cpu": cpu() - used,
                     "wall": time.perf_counter() - start}
                )  # fmt: skip
                path = str(home / f"cycles-{k}-{samples}.exr")
                bpy.data.images["Render Result"].save_render(path, scene=scene)
                scene.collection.objects.unlink(animals[k])
            (folder / "times.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main()
