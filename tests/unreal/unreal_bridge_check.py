"""`unreal_bridge/check.py` as a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

BRIDGE = Path(__file__).resolve().parents[2] / "unreal_bridge"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unreal_bridge_check_script", BRIDGE / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


check = _load()
