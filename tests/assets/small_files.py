"""Small real files, as exporters write them."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from torchmultiverse.errors import AssetError


def checkered() -> Image.Image:
    """Red and green in the upper row, blue and white in the lower one."""
    colors = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return Image.fromarray(colors.repeat(32, 0).repeat(32, 1))


def block(size=(2.0, 6.0, 4.0), image: Image.Image | None = None) -> trimesh.Trimesh:
    """A box with its lowest corner at (10, 20, 30); each side shows the whole picture, v upwards."""
    box = trimesh.creation.box(size)
    vertices = box.vertices[box.faces].reshape(-1, 3)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    normals = np.repeat(box.face_normals, 3, 0)
    uv = np.zeros((len(vertices), 2))
    for k, normal in enumerate(normals):
        axis = int(np.abs(normal).argmax())
        # Up in the picture is +y on the sides, +z on top and bottom.
        u, v = {0: (2, 1), 1: (0, 2), 2: (0, 1)}[axis]
        uv[k] = vertices[k, [u, v]] / np.array(size)[[u, v]] + 0.5
    material = trimesh.visual.material.PBRMaterial(name="skin", baseColorTexture=image or checkered())
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return trimesh.Trimesh(
        vertices + np.array(size) / 2 + [10, 20, 30], faces, vertex_normals=normals, visual=visual, process=False
    )


def write_obj(folder: Path, name: str, mesh: trimesh.Trimesh) -> None:
    """Write an OBJ with its MTL and texture."""
    text, files = trimesh.exchange.obj.export_obj(mesh, return_texture=True, mtl_name=f"{name}.mtl")
    (folder / f"{name}.obj").write_text(text)
    for file, data in files.items():
        (folder / file).write_bytes(data)


def manifest(folder: Path, *assets: dict, **more: object) -> None:
    """Write assets.json."""
    said = {"license": "CC-BY-4.0", "attribution": "Ada", "source": "her desk", **more}
    (folder / "assets.json").write_text(json.dumps({**said, "assets": list(assets)}))


def write_map(path: Path, values: np.ndarray) -> None:
    """Write a map of radiances (H, 2H, 3) as HDR or EXR, by the path's ending."""
    from torchmultiverse.engines.builtin.variant import use_library

    use_library()
    import mitsuba as mi

    mi.Bitmap(np.ascontiguousarray(values, np.float32)).write(str(path))


def damaged(whole: bytes, letters: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield a file with a few bytes replaced by letters that matter in it, and now and then cut short."""
    for _ in range(count):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), int(rng.integers(1, 4))):
            data[at] = rng.choice(list(letters))
        yield bytes(data[: int(rng.integers(0, len(data)))] if rng.random() < 0.1 else data)


def refusals(read: Callable[[bytes], object], files: Iterable[bytes]) -> list[str]:
    """Return what is said of the files that are refused; any other error goes on."""
    said = []
    for data in files:
        try:
            read(data)
        except AssetError as error:
            said.append(str(error))
    return said
