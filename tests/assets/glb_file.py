"""GLB files written number by number, so that what is right in them does not depend on any reader or writer."""

import io
import json
import struct

import numpy as np
from PIL import Image

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
"""Faces +z."""
CORNERS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], float)
"""Texture coordinates of the square as glTF has them, v downwards: the picture upright on it."""
TWO = [0, 1, 2, 0, 2, 3]


class Glb:
    """A file in the making; ``header`` may be changed until `bytes` is asked for."""

    def __init__(self) -> None:
        self.header: dict = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}]}
        self.header |= {"nodes": [{"mesh": 0}], "meshes": [], "materials": []}
        self.header |= {"accessors": [], "bufferViews": [], "images": [], "textures": []}
        self._body = b""

    def view(self, data: bytes, **more: object) -> int:
        self._body += b"\0" * (-len(self._body) % 4)
        view = {"buffer": 0, "byteOffset": len(self._body), "byteLength": len(data), **more}
        self.header["bufferViews"].append(view)
        self._body += data
        return len(self.header["bufferViews"]) - 1

    def array(self, values: object, kind: str = "f4", **more: object) -> int:
        rows = np.asarray(values)
        rows = rows.reshape(len(rows), -1).astype(f"<{kind}")
        facts = {"componentType": COMPONENTS[kind], "count": len(rows), "type": TYPES[rows.shape[1]]}
        self.header["accessors"].append({"bufferView": self.view(rows.tobytes()), **facts, **more})
        return len(self.header["accessors"]) - 1

    def texture(self, pixels: object) -> int:
        """Add a texture of pixels, 8 bits unless they have more."""
        values = np.asarray(pixels)
        buffer = io.BytesIO()
        Image.fromarray(values if values.dtype == np.uint16 else values.astype(np.uint8)).save(buffer, "PNG")
        self.header["images"].append({"bufferView": self.view(buffer.getvalue()), "mimeType": "image/png"})
        self.header["textures"].append({"source": len(self.header["images"]) - 1})
        return len(self.header["textures"]) - 1

    def mesh(self, attributes: dict, indices: object = TWO, material: dict | None = None, **more: object) -> dict:
        """Add a mesh of one primitive, and return the primitive."""
        primitive = {"attributes": attributes, **more}
        if indices is not None:
            primitive["indices"] = self.array(indices, "u2")
        if material is not None:
            self.header["materials"].append(material)
            primitive["material"] = len(self.header["materials"]) - 1
        self.header["meshes"].append({"primitives": [primitive]})
        return primitive

    def square(self, material: dict | None = None, indices: object = TWO, **attributes: int) -> dict:
        """Add a mesh that is the unit square, with normals."""
        given = {"POSITION": self.array(SQUARE), "NORMAL": self.array(np.tile([0, 0, 1], (4, 1)))}
        return self.mesh(given | attributes, indices, material)

    def bytes(self) -> bytes:
        header = {key: value for key, value in self.header.items() if value != []}
        body = self._body + b"\0" * (-len(self._body) % 4)
        if body:
            header.setdefault("buffers", [{"byteLength": len(body)}])
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        if body:
            chunks += struct.pack("<II", len(body), 0x004E4942) + body
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
