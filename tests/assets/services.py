"""Objaverse, Sketchfab and Poly Haven on this machine: the shape of their documented interfaces, with small files."""

import gzip
import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from glb_file import Glb
from web_service import WebService

REPOSITORY = "/datasets/allenai/objaverse/resolve/main/"
COMMIT = "a" * 40


def cube(color: tuple[float, float, float] = (0.8, 0.1, 0.1), **header: Any) -> bytes:
    """A GLB of one square standing upright, whose material has a colour."""
    glb = Glb()
    glb.square({"pbrMetallicRoughness": {"baseColorFactor": [*color, 1.0]}})
    glb.header |= header
    return glb.bytes()


def record(uid: str, **more: Any) -> dict[str, Any]:
    """What Sketchfab says of a model, as Objaverse keeps it."""
    return {
        "uid": uid,
        "uri": f"https://api.sketchfab.com/v3/models/{uid}",
        "name": f"Thing {uid[:4]}",
        "license": "by",
        "user": {"username": "ada", "displayName": "Ada L.", "profileUrl": "https://sketchfab.com/ada"},
        "faceCount": 12,
        "vertexCount": 8,
        "isDownloadable": True,
        "archives": {"glb": {"size": 1000, "faceCount": 12}, "gltf": {"size": 2000, "faceCount": 12}},
        "tags": [{"slug": "thing"}],
        **more,
    }


class ObjaverseService:
    """A hub with the repository of Objaverse in it."""

    def __init__(self, web: WebService, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub.constants as constants

        self._web = web
        web.more["404"] = {"X_Error_Code": "EntryNotFound", "X_Repo_Commit": COMMIT}
        monkeypatch.setenv("HF_ENDPOINT", web.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        self._objects: dict[str, bytes] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._lvis: dict[str, list[str]] = {}

    def add(self, uid: str, data: bytes | None = None, category: str = "", **more: Any) -> None:
        """Have an object; ``data`` is its file."""
        self._objects[uid] = cube() if data is None else data
        self._records[uid] = record(uid, **more)
        if category:
            self._lvis.setdefault(category, []).append(uid)

    def publish(self) -> None:
        """Serve what was added, five objects a folder."""
        folders: dict[str, dict[str, Any]] = {}
        paths = {}
        for k, (uid, data) in enumerate(self._objects.items()):
            folder = f"000-{k // 5:03d}"
            folders.setdefault(folder, {})[uid] = self._records[uid]
            paths[uid] = f"glbs/{folder}/{uid}.glb"
            self.put(paths[uid], data)
        self.put("object-paths.json.gz", gzip.compress(json.dumps(paths).encode(), mtime=0))
        self.put("lvis-annotations.json.gz", gzip.compress(json.dumps(self._lvis).encode(), mtime=0))
        for folder, told in folders.items():
            self.put(f"metadata/{folder}.json.gz", gzip.compress(json.dumps(told).encode(), mtime=0))

    def put(self, path: str, data: bytes, sha256: str = "") -> None:
        """Serve a file of the repository."""
        tag = sha256 or hashlib.sha256(data).hexdigest()
        self._web.put(REPOSITORY + path, data, X_Repo_Commit=COMMIT, ETag=f'"{tag}"')

    def asked(self) -> list[str]:
        """The files of the repository that were fetched."""
        return [path.removeprefix(REPOSITORY) for path in self._web.paths() if path.startswith(REPOSITORY)]


class SketchfabService:
    """The interface of Sketchfab, which wants the token ``s3cret`` for files."""

    def __init__(self, web: WebService, monkeypatch: pytest.MonkeyPatch) -> None:
        from torchmultiverse.assets import sketchfab

        self._web = web
        web.guarded = "Token s3cret"
        monkeypatch.setattr(sketchfab, "ADDRESS", web.url)

    def add(self, uid: str, data: bytes | None = None, archive: bytes | None = None, **more: Any) -> None:
        """Have a model: a GLB file, or an archive with a glTF file in it."""
        told = {"license": {"slug": "by", "label": "CC Attribution"}, **more}
        self._web.put(f"/v3/models/{uid}", record(uid, **told) | {"archives": None})
        offers = {}
        for kind, content in (("glb", data), ("gltf", archive)):
            if content is not None:
                url = self._web.put(f"/files/{uid}.{kind}", content)
                offers[kind] = {"url": f"{url}?Signature=s1gned&Expires=300", "size": len(content), "expires": 300}
        self._web.put(f"/v3/models/{uid}/download", offers)


def gltf_folder() -> dict[str, bytes]:
    """A glTF file with its buffer and texture beside it."""
    from PIL import Image

    glb = Glb()
    picture = BytesIO()
    Image.fromarray(np.full((8, 8, 3), (10, 200, 30), np.uint8)).save(picture, "PNG")
    glb.header["images"].append({"uri": "textures/green%20one.png"})
    glb.header["textures"].append({"source": 0})
    from glb_file import CORNERS

    glb.square({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, TEXCOORD_0=glb.array(CORNERS))
    whole = glb.bytes()
    length = int.from_bytes(whole[12:16], "little")
    header = json.loads(whole[20 : 20 + length])
    header["buffers"][0]["uri"] = "scene.bin"
    return {
        "scene.gltf": json.dumps(header).encode(),
        "scene.bin": whole[28 + length :],
        "textures/green one.png": picture.getvalue(),
    }


def gltf_archive(**files: bytes) -> bytes:
    """A zip archive as Sketchfab makes it."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {**gltf_folder(), "license.txt": b"CC-BY-4.0", **files}.items():
            archive.writestr(name, data)
    return out.getvalue()


class PolyHavenService:
    """The interface of Poly Haven."""

    def __init__(self, web: WebService, monkeypatch: pytest.MonkeyPatch) -> None:
        from torchmultiverse.assets import polyhaven

        self._web = web
        monkeypatch.setattr(polyhaven, "ADDRESS", web.url)
        self._lists: dict[str, dict[str, Any]] = {"hdris": {}, "models": {}, "textures": {}}
        web.put("/assets", {})

    def file(self, path: str, data: bytes) -> dict[str, Any]:
        """Serve a file; return what the interface says of it."""
        return {"url": self._web.put(path, data), "size": len(data), "md5": hashlib.md5(data).hexdigest()}

    def add(self, kind: str, slug: str, files: dict[str, Any], **more: Any) -> None:
        """Have an asset."""
        told = {"name": slug.replace("_", " ").title(), "authors": {"Greg Zaal": "All"}, "download_count": 1}
        self._lists[kind][slug] = {**told, "type": ["hdris", "textures", "models"].index(kind), **more}
        self._web.put(f"/files/{slug}", files)
        self._web.put(f"/assets?type={kind}", self._lists[kind])

    def add_map(self, slug: str, data: bytes, **more: Any) -> None:
        """Have an environment map in 1k and 2k."""
        sizes = {size: {"hdr": self.file(f"/hdr/{slug}_{size}.hdr", data)} for size in ("1k", "2k")}
        self.add("hdris", slug, {"hdri": sizes, "tonemapped": self.file(f"/jpg/{slug}.jpg", b"x")}, **more)

    def add_texture(self, slug: str, color: tuple[int, int, int], rough: int, **more: Any) -> None:
        """Have a texture of one colour in 1k and 2k."""
        from PIL import Image

        files: dict[str, Any] = {"blend": {}, "nor_gl": {}}
        for group, value in (("Diffuse", color), ("Rough", (rough,) * 3)):
            picture = BytesIO()
            Image.new("RGB", (64, 64), value).save(picture, "PNG")
            offer = self.file(f"/textures/{slug}_{group}.png", picture.getvalue())
            files[group] = {"1k": {"png": offer, "exr": {**offer, "url": offer["url"] + ".exr"}}}
        self.add("textures", slug, files, **more)

    def add_model(self, slug: str, files: dict[str, bytes] | None = None, **more: Any) -> None:
        """Have a model in 1k."""
        files = gltf_folder() if files is None else files
        main = self.file(f"/gltf/{slug}_1k.gltf", files["scene.gltf"])
        main["include"] = {
            name: self.file(f"/gltf/{slug}/{name.replace(' ', '-')}", data)
            for name, data in files.items()
            if name != "scene.gltf"
        }
        self.add("models", slug, {"gltf": {"1k": {"gltf": main}}, "blend": {}}, **more)
