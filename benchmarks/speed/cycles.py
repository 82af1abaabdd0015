"""What the built-in engine and Blender Cycles need for pictures of equal quality: the same worlds, animals and cameras.

    python benchmarks/speed/cycles.py --blender /path/to/python-with-bpy [--worlds Desert ModernGallery …] [--size 128]

Cycles runs in another Python (`bpy` is tied to one Python version and is no dependency), by `cycles_blender.py`. Both
get the same meshes, surfaces, reliefs, emission, lamps and sky, and the same number of bounces; what is not exported is
named. Each picture has another animal and another camera, and its time is that of a world which is loaded: placing the
animal, building its ray-tracing structure, tracing and denoising. Quality is the PSNR of the denoised picture against a
reference of the same renderer without a denoiser (`--reference` samples, other random numbers), after the same tone
curve. The figure is the time of Cycles over ours at the PSNR that ours reaches with `--samples`; between the numbers of
samples that Cycles was run with, its time is interpolated. CPU time counts, which other work on the machine changes
least. The bar: at least 3.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin import placement, postprocess, renderer
from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.tracer import CHARACTER_MATERIAL
from torchmultiverse.engines.builtin.variant import activate
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.scenes import Scene, scene_seed

BAR = 3.0
ANIMALS = ("Elephant", "Zebra", "Penguin", "Goldfish", "Lion", "Camel", "Horse", "Caribou", "Tapir", "Koi")
BOUNCES = renderer.DEPTH - 2
"""Surfaces after the first. `DEPTH` is how many a path of light may touch, and one more; Cycles counts those after the
first."""


@dataclass(frozen=True)
class Picture:
    """One picture to render: the scene, its view, and the animal's mesh before it is placed."""

    scene: Scene
    view: placement.View
    actor: placement.Actor
    mesh: Any

    def placed(self, world: World) -> renderer.CharacterInstance:
        """Return the animal in its place."""
        mesh = self.mesh
        where = placement.place(self.actor, [self.actor], world, mesh.vertices, mesh.normals, mesh.hover)
        return renderer.CharacterInstance(where[0], mesh.faces, where[1], mesh.color, mesh.roughness)


def pictures_of(world: World, count: int, size: int, first: int) -> list[Picture]:
    """Return pictures of a world, each with another animal and camera; the first is to warm up."""
    found = []
    for k in range(count + 1):
        name = ANIMALS[(first + k) % len(ANIMALS)]
        yaw = round(k * 360 / (count + 1)) % 360 if _open(world) else (-20 + 40 * k // max(count, 1)) % 360
        scene = Scene({"World_Name": world.name, "Character_Name": name, "Camera_Yaw": yaw})
        (actor,) = placement.scene_actors(scene)
        view = placement.view(scene, world, "center", (size, size))
        found.append(Picture(scene, view, actor, ProceduralAssets().load(name, "Default", size)))
    return found


def _open(world: World) -> bool:
    """Whether the eye is outdoors on every side."""
    return max(world.spec.camera.high) >= 1e3


def export(world: World, pictures: list[Picture], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Write a world for `cycles_blender.py`; returns what the job says of it, and what is not exported."""
    folder.mkdir(parents=True, exist_ok=True)
    missing, parts = [], []
    for k, part in enumerate(world.parts):
        mesh, material = part.mesh, part.material
        arrays = {name: getattr(mesh, name) for name in ("vertices", "faces", "normals", "uv", "colors")}
        arrays |= {name: getattr(material, name) for name in ("color", "rough", "height")}
        np.savez(folder / f"part{k}.npz", **{name: values for name, values in arrays.items() if values is not None})
        plain = ("roughness", "specular", "metallic", "emission", "samples_light", "repeat")
        # A lamp has one colour, its mesh's; what only has to be seen glows in the colours that it has.
        single = material.color is None and mesh.colors is not None and material.samples_light
        tint = mesh.colors.mean(0).tolist() if single and mesh.colors is not None else [1.0, 1.0, 1.0]
        parts.append({name: getattr(material, name) for name in plain} | {"tint": tint, "tinted": not single})
    lamps = []
    for light in world.lights:
        if light.image is not None:
            missing.append("a lamp that projects an image")
        else:
            lamps.append({name: getattr(light, name) for name in ("position", "power", "target", "cone")})
    if world.spec.haze is not None:
        missing.append("haze")
    # Blender's map has -y in its middle column and runs the other way round than ours.
    np.save(folder / "sky.npy", np.roll(world.environment[:, ::-1], world.environment.shape[1] // 2, axis=1))
    views = []
    camera = world.spec.camera
    for k, picture in enumerate(pictures):
        view, animal = picture.view, picture.placed(world)
        np.savez(
            folder / f"animal{k}.npz", vertices=animal.vertices, faces=animal.faces, normals=animal.normals,
            colors=animal.color, roughnesses=animal.roughness,
        )  # fmt: skip
        pose = np.eye(4)
        pose[:3, :3] = np.stack([view.rotation[0], -view.rotation[1], -view.rotation[2]], -1)
        pose[:3, 3] = view.position
        near = float(placement.entry(view, np.asarray(camera.low), np.asarray(camera.high), view.rotation[2:3])[0])
        views.append({"pose": pose.tolist(), "fov": view.opening, "near": max(near, 0.01)})
    return {"name": world.name, "parts": parts, "lamps": lamps, "pictures": views}, missing


def seen(radiance: NDArray[np.float32], world: World) -> NDArray[np.float64]:
    """Return what is looked at, 0 to 1: radiance after a world's exposure, the tone curve and sRGB."""
    return postprocess.encode(postprocess.tone(np.maximum(radiance, 0) * np.float32(world.exposure))) / 255


def psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    return float(-10 * np.log10(max(((one - other) ** 2).mean(), 1e-10)))


def cpu() -> float:
    """Return the CPU seconds of this process so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Rendered:
    """A picture and what it cost in seconds."""

    image: NDArray[np.float64]
    cpu: float
    wall: float


Worlds = list[tuple[World, list[Picture]]]
"""Each with its pictures, the first of which warms up."""
Pictures = dict[tuple[str, int, int], Rendered]
"""By world, picture and number of samples."""


def ours(worlds: Worlds, counts: list[int], reference: int) -> Pictures:
    """Render with the built-in engine's renderer; the first picture of each number of samples warms up."""
    found: Pictures = {}
    for world, pictures in worlds:
        loaded = renderer.WorldRenderer(world)
        for samples in [*counts, reference]:
            for k, picture in enumerate(pictures):
                if samples == reference and k == 0:
                    continue
                used, start = cpu(), time.perf_counter()
                loaded.set_characters([picture.placed(world), None])
                seed = scene_seed(1 if samples == reference else 0, picture.scene.scene_id)
                buffers = loaded.render(picture.view, samples, seed)
                radiance = buffers.color if samples == reference else postprocess.denoise(buffers)
                used, took = cpu() - used, time.perf_counter() - start
                found[world.name, k, samples] = Rendered(seen(radiance, world), used, took)
    return found


def theirs(
    worlds: Worlds, counts: list[int], reference: int, size: int, blender: str, folder: Path
) -> tuple[Pictures, dict[str, list[str]]]:
    """Render with Cycles; returns the pictures, and by world what was not exported.

    Raises:
        SystemExit: Blender's Python failed; with the end of what it said.
    """
    import mitsuba as mi

    described = {world.name: export(world, pictures, folder / world.name) for world, pictures in worlds}
    job = {
        "size": size, "samples": counts, "reference": reference, "bounces": BOUNCES,
        "character_specular": CHARACTER_MATERIAL.specular, "worlds": [facts for facts, _ in described.values()],
    }  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("cycles_blender.py")
    # Isolated: beside the script lies this module, whose name is that of Blender's own add-on.
    done = subprocess.run([blender, "-I", str(script), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "times.json").exists():
        raise SystemExit(f"Cycles fails: {(done.stderr or done.stdout)[-2000:]}")
    by_name = {world.name: world for world, _ in worlds}
    found: Pictures = {}
    for row in json.loads((folder / "times.json").read_text()):
        name, k, samples = row["world"], row["picture"], row["samples"]
        pixels = np.array(mi.Bitmap(str(folder / name / f"cycles-{k}-{samples}.exr")), np.float32)[..., :3]
        found[name, k, samples] = Rendered(seen(pixels, by_name[name]), row["cpu"], row["wall"])
    return found, {name: missing for name, (_, missing) in described.items()}


def time_at(wanted: float, qualities: list[float], times: list[float]) -> tuple[float, str]:
    """Return the seconds at a PSNR, between those measured, and a sign that says on which side of them it lies."""
    order = np.argsort(qualities)
    q, t = np.asarray(qualities)[order], np.log(np.asarray(times)[order])
    sign = "≤" if wanted < q[0] else "≥" if wanted > q[-1] else ""
    return float(np.exp(np.interp(wanted, q, t))), sign


def main() -> None:
    """Render with both, and say how they compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=["Desert", "Courtyard", "ModernGallery", "TokyoNight"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16, help="of ours, at whose quality times are compared")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 8, 16, 32, 64], help="samples Cycles is run with")
    parser.add_argument("--reference", type=int, default=1024)
    parser.add_argument("--count", type=int, default=3, help="pictures of each world")
    parser.add_argument("--blender", default=sys.executable, help="a Python that has bpy")
    parser.add_argument("--keep", type=Path, help="folder to keep what was exported and rendered in")
    arguments = parser.parse_args()
    if subprocess.run([arguments.blender, "-c", "import bpy"], capture_output=True, check=False).returncode:
        raise SystemExit(f"{arguments.blender} has no bpy: install it in an environment of its own and give --blender")
    if arguments.reference < 1024:
        raise SystemExit(f"--reference {arguments.reference}: fewer than 1,024 samples are no reference")

    variant, size = activate(None), arguments.size
    loaded = [load_world(name) for name in arguments.worlds]
    worlds = [
        (world, pictures_of(world, arguments.count, size, n * (arguments.count + 1))) for n, world in enumerate(loaded)
    ]
    counts = sorted(set(arguments.counts))
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        mine = ours(worlds, [arguments.samples], arguments.reference)
        rival, missing = theirs(worlds, counts, arguments.reference, size, arguments.blender, folder)
        if arguments.keep:
            save(mine | {(name, k, -s): found for (name, k, s), found in rival.items()}, folder)
    tell(mine, rival, missing, counts, arguments, variant)


def save(pictures: Pictures, folder: Path) -> None:
    """Write pictures to look at; those of Cycles have negative numbers of samples."""
    from PIL import Image

    for (name, k, samples), found in pictures.items():
        who = "ours" if samples > 0 else "cycles"
        pixels = np.rint(found.image * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}-{k}-{who}-{abs(samples)}.png")


def tell(
    mine: Pictures, rival: Pictures, missing: dict[str, list[str]], counts: list[int], arguments: Any, variant: str
) -> None:
    """Print one line for each picture, and the median."""
    size, samples, reference = arguments.size, arguments.samples, arguments.reference
    print(f"{size}×{size}, {BOUNCES} bounces, {variant}; PSNR in dB against {reference} samples, CPU seconds a picture")
    ratios = []
    for name in arguments.worlds:
        if missing[name]:
            print(f"{name}: without {', '.join(sorted(set(missing[name])))}")
        for k in range(1, arguments.count + 1):
            own, truth = mine[name, k, samples], rival[name, k, reference]
            quality = psnr(own.image, mine[name, k, reference].image)
            reached = [psnr(rival[name, k, s].image, truth.image) for s in counts]
            needed, sign = time_at(quality, reached, [rival[name, k, s].cpu for s in counts])
            ratios.append(needed / own.cpu)
            steps = ", ".join(
                f"{s}: {q:.1f} dB {rival[name, k, s].cpu:.2f} s" for s, q in zip(counts, reached, strict=True)
            )
            bright = truth.image.mean() / mine[name, k, reference].image.mean()
            print(
                f"{name} {k}: ours {quality:.1f} dB {own.cpu:.2f} s (wall {own.wall:.2f}); Cycles {steps}; "
                f"at equal PSNR {sign}{needed:.2f} s, {sign}{ratios[-1]:.2f} times ours; its reference is "
                f"{bright:.2f} times as bright"
            )
    middle = statistics.median(ratios)
    print(
        f"Cycles takes {middle:.2f} times our CPU time at equal PSNR (median of {len(ratios)}, {min(ratios):.2f} to "
        f"{max(ratios):.2f}; bar: {BAR:g}: {'met' if middle >= BAR else 'MISSED'})"
    )


if __name__ == "__main__":
    main()
