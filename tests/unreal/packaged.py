"""The stand-in for a packaged Unreal binary, with what it needs to run, or a reason why it cannot."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from unreal import native_build

ROOT = Path(__file__).resolve().parents[2]
GAME = ROOT / "unreal_bridge" / "stand_in" / "Game.sh"


def game(patch: pytest.MonkeyPatch, **settings: Any) -> Path:
    """Return the start script, and set what it heeds; skips the test where it cannot run.

    Args:
        patch: of the environment.
        settings: of the stand-in, see `unreal_bridge/stand_in/settings.py`.
    """
    if importlib.util.find_spec("webrtc") is None:
        pytest.skip("the stand-in speaks WebRTC through the package wrtc, which is not installed")
    patch.setenv("TMV_BRIDGE_LIBRARY", str(native_build.library()))
    patch.setenv("PYTHON", sys.executable)
    patch.setenv("TMV_STAND_IN", " ".join(f"{name}={value}" for name, value in {"frame_ms": 0.5, **settings}.items()))
    return GAME
