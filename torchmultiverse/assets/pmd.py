"""The binary mesh of 0 A.D.'s engine (``PSMD``), in its bind pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import AssetError

_MAX_VERTICES = 1 << 20


@dataclass(frozen=True)
class PropPoint:
    """Where another mesh is fixed: a place and a turn (w, x, y, z) in the mesh's coordinates."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]


@dataclass(frozen=True)
class Pmd:
    """A mesh as it stands in the file: left-handed, y up, facing +z, v downwards in the texture.

    ``vertices`` and ``normals`` float32 (V, 3), ``uv`` float32 (V, 2), ``faces`` uint32 (F, 3).
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    faces: NDArray[np.uint32]
    props: dict[str, PropPoint]


class _PmdReader:
    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self.at = data, what, 0

    def take(self, dtype: str, count: int = 1) -> NDArray[Any]:
        kind = np.dtype(dtype)
        end = self.at + kind.itemsize * count
        if count < 0 or end > len(self._data):
            raise AssetError(f"{self._what}: the file ends at byte {len(self._data)}, in the middle of what it holds")
        values = np.frombuffer(self._data, kind, count, self.at)
        self.at = end
        return values

    def number(self) -> int:
        return int(self.take("<u4")[0])

    def text(self) -> str:
        return self.take("u1", self.number()).tobytes().decode("latin-1")


def read_pmd(data: bytes, what: str) -> Pmd:
    """Return the mesh of a ``.pmd`` file's bytes.

    Raises:
        AssetError: it is none, is cut short, or contradicts itself.
    """
    reader = _PmdReader(data, what)
    if reader.take("u1", 4).tobytes() != b"PSMD":
        raise AssetError(f"{what}: it is no mesh of 0 A.D.: it does not begin with 'PSMD'")
    version, _size = reader.number(), reader.number()
    if version not in (3, 4):
        raise AssetError(f"{what}: meshes of version {version} are not read, only 3 and 4")
    count = reader.number()
    sets = reader.number() if version >= 4 else 1
    if not 0 < count <= _MAX_VERTICES or not 1 <= sets <= 8:
        raise AssetError(f"{what}: {count:,} vertices with {sets} sets of texture coordinates; that is no mesh")
    layout = f"3<f4, 3<f4, ({sets},2)<f4, 4u1, 4<f4"
    vertices = reader.take(layout, count)
    faces = reader.take("<u2", 3 * reader.number()).astype(np.uint32).reshape(-1, 3)
    if len(faces) == 0 or int(faces.max()) >= count:
        raise AssetError(f"{what}: its faces name vertices that it does not have")
    bones = reader.take("3<f4, 4<f4", reader.number())
    props = {}
    for _ in range(min(reader.number(), 1000)):
        name = reader.text()
        place, turn, bone = reader.take("<f4", 3), reader.take("<f4", 4), int(reader.take("u1")[0])
        position, rotation = np.asarray(place, float), _quaternion(np.asarray(turn, float))
        if bone < len(bones):
            parent = _quaternion(np.asarray(bones[bone]["f1"], float))
            position = np.asarray(bones[bone]["f0"], float) + turned(position[None], parent)[0]
            rotation = _product(parent, rotation)
        props[name] = PropPoint(position, rotation)
    return Pmd(
        np.ascontiguousarray(vertices["f0"]),
        np.ascontiguousarray(vertices["f1"]),
        np.ascontiguousarray(vertices["f2"][:, 0]),
        faces,
        props,
    )


def _quaternion(xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a quaternion as (w, x, y, z), of length one."""
    q = np.roll(xyzw, 1)
    length = float(np.linalg.norm(q))
    return q / length if length > 1e-9 else np.array([1.0, 0, 0, 0])


def _product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    w = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate([[w], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])


def turned(points: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (N, 3) turned by a unit quaternion (w, x, y, z)."""
    t = 2 * np.cross(q[1:], points)
    return np.asarray(points + q[0] * t + np.cross(q[1:], t))
