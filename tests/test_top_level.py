"""What the package offers at the top level, and what that costs.

Silently wrong would be an import that makes every command slow, or a name that hides a module of the same name.
"""

from __future__ import annotations

import subprocess
import sys

import torchmultiverse

FIRST = ["Dataset", "Multiverse", "RenderStream", "Replay", "Spec", "evaluate", "generate", "load_spec", "open_dataset"]


def _fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_names_of_the_first_hour_are_there_and_listed() -> None:
    assert set(FIRST) <= set(dir(torchmultiverse)) & set(torchmultiverse.__all__)
    assert all(callable(getattr(torchmultiverse, name)) for name in FIRST)
    assert (
        _fresh("from torchmultiverse import *; import torchmultiverse.evaluation; print(evaluate.__name__)")
        == "evaluate"
    )


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"torch", "mitsuba", "drjit", "scipy", "pyarrow", "numpy", "PIL", "pydantic", "av", "aiortc", "timm"}
    loaded = _fresh("import sys, torchmultiverse; dir(torchmultiverse); print(*sys.modules)").split()
    assert not heavy & set(loaded)
    assert "torchmultiverse" in loaded
