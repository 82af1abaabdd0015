"""Arrays of numpy's that end where memory does.

What could silently be wrong: kernels read 64 bytes at once, and arrays of numpy's are used where they are. Where a
large one ends just before memory that may not be read, one world in some hundreds, the process dies, and the next start
of it does not.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from torchmultiverse.engines.builtin.tracer.backend import placed


@pytest.mark.parametrize("count", [1, 15, 16, 1_000_003])
def test_there_is_room_after_an_array(count):
    values = np.arange(count, dtype=np.float32)
    copy = placed(values[::-1])[::-1]
    assert np.array_equal(copy, values)
    start = copy[::-1].ctypes.data
    assert start % 64 == 0
    memory = copy.base
    while memory.base is not None:
        memory = memory.base
    assert memory.ctypes.data + memory.nbytes - (start + copy.nbytes) >= 64


GUARDED = """
import ctypes, mmap
import numpy as np
from torchmultiverse.engines.builtin.variant import activate
activate("llvm_ad_rgb")
from torchmultiverse.engines.builtin.mesh import grid_faces
from torchmultiverse.engines.builtin.tracer.buffers import Triangles
from torchmultiverse.engines.builtin.tracer.geometry import Geometry
libc = ctypes.CDLL(None)

def guarded(values):
    "The same values, right before a page that may not be read."
    size = values.nbytes
    pages = -(-size // mmap.PAGESIZE)
    area = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(area))
    end = begin + pages * mmap.PAGESIZE
    assert libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    made = np.frombuffer(area, values.dtype, values.size, pages * mmap.PAGESIZE - size).reshape(values.shape)
    made[...] = values
    return made

side = 701
x, y = np.meshgrid(np.linspace(-3, 3, side), np.linspace(-3, 3, side))
points = np.zeros((side * side, 12), np.float32)
points[:, 0], points[:, 1], points[:, 6] = x.ravel(), y.ravel(), 1
faces = grid_faces(side, side)
corners = np.concatenate([faces, np.zeros((len(faces), 1))], 1).astype(np.uint32)
assert len(corners) > 900_000
import mitsuba as mi
geometry = Geometry(Triangles(guarded(corners), guarded(points)), 1, False)
geometry.set_characters([])
ray = mi.Point3f(0.1, 0.2, 2), mi.Vector3f(0, 0, -1)
hit = geometry.intersect(*ray, mi.Bool(True))
print(float(np.array(hit.t)[0]))
"""


@pytest.mark.slow
def test_a_world_of_a_million_triangles_that_ends_where_memory_does():
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) == pytest.approx(2, abs=1e-5)
