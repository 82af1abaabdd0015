"""The measurement of a machine with a GPU, without one.

What could silently be wrong: a step that hangs and takes the others' minutes, a machine without a GPU whose figures
pass for a GPU's, code that fails when somebody has a GPU for eight minutes.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from torchmultiverse.engines.builtin.variant import probe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(name="gpu")
def _gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_without_a_gpu_it_says_so_and_measures_nothing() -> None:
    if probe().chosen == "cuda_ad_rgb":
        pytest.skip("there is one here")
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 2, done.stderr
    first, said = done.stdout.strip().splitlines()
    assert json.loads(first)["ok"] is False
    assert said.startswith("no GPU: ")
    assert "Not run: environment, agreement" in said


def test_a_step_that_does_not_end_leaves_the_others_alone(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpu.STEPS, "noise", replace(gpu.STEPS["noise"], limit=0.2))
    setting = gpu.Setting("llvm_ad_rgb", True)
    rows = list(gpu.run_steps(setting, ["noise", "noise"], 8))
    assert [row["failed"] for row in rows] == ["not done within 0 s"] * 2
    (late,) = gpu.run_steps(setting, ["cost"], 0)
    assert late["failed"] == "not done within 0 s", "all of them together have a limit, too"
    assert sum(step.limit for step in gpu.STEPS.values()) <= 8 * 60


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_step_runs(gpu: ModuleType) -> None:
    if probe().chosen == "scalar_rgb":
        pytest.skip("only the scalar variant works here, which has no device")
    pytest.importorskip("open_clip")
    slower = {name: replace(step, limit=300) for name, step in gpu.STEPS.items()}
    gpu.STEPS.update(slower)
    rows = list(gpu.run_steps(gpu.Setting("llvm_ad_rgb", True), list(gpu.STEPS), 30))
    assert [row.get("failed") for row in rows] == [None] * len(rows)
    assert [row["step"] for row in rows if row["ok"] is False] == []
