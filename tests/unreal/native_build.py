"""The C++ bridge core, built once for each state of its sources; tests that need it skip where it cannot be built.

The folders are those of the core's CMake presets, `build/unreal_core/PRESET`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "unreal_bridge" / "core"
VECTORS = ROOT / "unreal_bridge" / "vectors"


def library() -> Path:
    """Return the shared library with the C interface."""
    return built("default") / "libtmv_bridge.so"


core_library = library


def built(preset: str) -> Path:
    """Return the folder in which a preset of the core is built."""
    _require_tools()
    folder = ROOT / "build" / "unreal_core" / preset
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:  # tests in several processes build it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        state, stamp = _state(), folder / ".state"
        if not stamp.exists() or stamp.read_text() != state:
            _run(["cmake", "--preset", preset, "-B", str(folder)])
            _run(["cmake", "--build", str(folder), "--parallel", "2"])
            stamp.write_text(state)
    return folder


def _require_tools() -> None:
    if shutil.which("cmake") is None:
        pytest.skip("the C++ bridge core is not built: there is no cmake")
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++")):
        pytest.skip("the C++ bridge core is not built: there is no C++ compiler")


def _state() -> str:
    """Return the hash of all that is built."""
    digest = hashlib.sha256()
    for path in sorted(
        path for path in CORE.rglob("*") if path.suffix in {".cpp", ".hpp", ".h", ".inc", ".json", ".txt"}
    ):
        digest.update(f"{path.relative_to(CORE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _run(command: list[str]) -> None:
    environment = dict(os.environ)
    if shutil.which("ninja"):
        environment.setdefault("CMAKE_GENERATOR", "Ninja")
    done = subprocess.run(command, cwd=CORE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
