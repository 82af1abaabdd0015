"""The built-in engine beside Blender Cycles on the same meshes, lights' map, camera, size and samples, both denoised.

    python benchmarks/speed/cycles.py [--world Desert] [--character Elephant] [--blender /path/to/python-with-bpy]

Cycles runs in another Python (`bpy` is tied to one Python version and is no dependency). Both render one picture to
warm up and then time the following ones with a turned camera. The bar: at least 3 times as fast.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RIVAL = r"""
import json, sys, time
import bpy, numpy as np
folder, size, samples, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
meta = json.load(open(folder + "/meta.json"))
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
for k, facts in enumerate(meta["parts"]):
    data = np.load(f"{folder}/part{k}.npz")
    mesh = bpy.data.meshes.new(f"part{k}")
    mesh.from_pydata(data["vertices"].tolist(), [], data["faces"].tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    material = bpy.data.materials.new(f"part{k}")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    bsdf = nodes["Principled BSDF"]
    bsdf.inputs["Roughness"].default_value = facts["roughness"]
    if "color" in data:
        layer = mesh.uv_layers.new()
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        layer.data.foreach_set("uv", data["uv"][corners].ravel())
        picture = data["color"].astype(np.float32)[::-1] / 255
        image = bpy.data.images.new(f"part{k}", picture.shape[1], picture.shape[0])
        image.pixels.foreach_set(np.concatenate([picture, np.ones_like(picture[..., :1])], -1).ravel())
        node = nodes.new("ShaderNodeTexImage")
        node.image = image
        links.new(node.outputs["Color"], bsdf.inputs["Base Color"])
    elif "colors" in data:
        layer = mesh.color_attributes.new("c", "FLOAT_COLOR", "POINT")
        colors = np.concatenate([data["colors"], np.ones_like(data["colors"][:, :1])], 1).astype(np.float32)
        layer.data.foreach_set("color", colors.ravel())
        node = nodes.new("ShaderNodeVertexColor")
        node.layer_name = "c"
        links.new(node.outputs["Color"], bsdf.inputs["Base Color"])
    mesh.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new(f"part{k}", mesh))
sky = np.load(folder + "/sky.npy")
image = bpy.data.images.new("sky", sky.shape[1], sky.shape[0], float_buffer=True)
image.pixels.foreach_set(np.concatenate([sky[::-1], np.ones_like(sky[..., :1])], -1).astype(np.float32).ravel())
world = scene.world = bpy.data.worlds.new("sky")
world.use_nodes = True
node = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
node.image = image
world.node_tree.links.new(node.outputs["Color"], world.node_tree.nodes["Background"].inputs["Color"])
camera = bpy.data.cameras.new("eye")
camera.angle = np.radians(meta["fov"])
eye = bpy.data.objects.new("eye", camera)
scene.collection.objects.link(eye)
scene.camera = eye
scene.render.engine = "CYCLES"
scene.render.resolution_x = scene.render.resolution_y = size
scene.render.resolution_percentage = 100
scene.cycles.device = "CPU"
scene.cycles.samples = samples
scene.cycles.use_adaptive_sampling = False
scene.cycles.use_denoising = True
scene.cycles.denoiser = "OPENIMAGEDENOISE"
scene.cycles.max_bounces = meta["bounces"]
scene.render.use_persistent_data = True
scene.render.image_settings.file_format = "PNG"
from mathutils import Matrix
times = []
for k in range(count + 1):
    eye.matrix_world = Matrix(meta["views"][k])
    scene.render.filepath = f"{folder}/cycles{k}.png"
    start = time.perf_counter()
    bpy.ops.render.render(write_still=True)
    times.append(time.perf_counter() - start)
print("TIMES", json.dumps(times))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", default="Desert")
    parser.add_argument("--character", default="Elephant")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--blender", default=sys.executable, help="a Python that has bpy")
    parser.add_argument("--keep", type=Path, help="folder to keep both pictures in")
    arguments = parser.parse_args()
    if subprocess.run([arguments.blender, "-c", "import bpy"], capture_output=True, check=False).returncode:
        raise SystemExit(f"{arguments.blender} has no bpy: install it in an environment of its own and give --blender")

    from torchmultiverse.engines import RenderOptions
    from torchmultiverse.engines.builtin import BuiltinEngine, placement, renderer
    from torchmultiverse.engines.builtin.engine import ProceduralAssets
    from torchmultiverse.engines.builtin.world_builder import load_world
    from torchmultiverse.scenes import Scene

    size, options = arguments.size, RenderOptions(size=(arguments.size, arguments.size), samples=arguments.samples)
    world, engine = load_world(arguments.world), BuiltinEngine()
    scenes = [
        Scene({"World_Name": arguments.world, "Character_Name": arguments.character, "Camera_Yaw": 5 * k})
        for k in range(arguments.count + 1)
    ]
    views = [placement.view(scene, world, "center", options.size) for scene in scenes]
    (actor,) = placement.scene_actors(scenes[0])
    body = ProceduralAssets().load(arguments.character, "Default", size)
    vertices, _ = placement.place(actor, [actor], world, body.vertices, body.normals, body.hover)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        facts = []
        for k, part in enumerate(world.parts):
            arrays = {n: getattr(part.mesh, n) for n in ("vertices", "faces", "uv", "colors")}
            arrays["color"] = part.material.color
            np.savez(folder / f"part{k}.npz", **{n: a for n, a in arrays.items() if a is not None})
            facts.append({"roughness": part.material.roughness})
        np.savez(folder / f"part{len(facts)}.npz", vertices=vertices, faces=body.faces, colors=body.color)
        facts.append({"roughness": 0.7})
        # Blender's map has -y in its middle column and runs the other way round than ours.
        np.save(folder / "sky.npy", np.roll(world.environment[:, ::-1], world.environment.shape[1] // 2, axis=1))
        poses = []
        for view in views:
            pose = np.eye(4)
            pose[:3, :3] = np.stack([view.rotation[0], -view.rotation[1], -view.rotation[2]], -1)
            pose[:3, 3] = view.position
            poses.append(pose.tolist())
        meta = {"parts": facts, "views": poses, "fov": placement.FOV, "bounces": renderer.DEPTH - 1}
        (folder / "meta.json").write_text(json.dumps(meta))
        script = [arguments.blender, "-c", RIVAL, str(folder), str(size), str(arguments.samples), str(arguments.count)]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("TIMES ")]
        if not lines:
            raise SystemExit(f"Cycles fails: {done.stderr[-2000:]}")
        theirs = json.loads(lines[0][6:])[1:]
        ours = []
        for k, scene in enumerate(scenes):
            start = time.perf_counter()
            (frame,) = engine.render([scene], options)
            frame.encoded()
            if k:
                ours.append(time.perf_counter() - start)
            if arguments.keep:
                frame.image.save(folder / f"ours{k}.png")
    mine, rival = statistics.median(ours), statistics.median(theirs)
    what = f"{arguments.world}, {arguments.character}, {size}×{size}, {arguments.samples} samples"
    print(f"{what}, denoised, {engine.variant}")
    print(f"built-in {mine:.3f} s, Cycles {rival:.3f} s a picture: {rival / mine:.2f} times as fast (bar: 3)")


if __name__ == "__main__":
    main()
