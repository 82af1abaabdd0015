"""What the shell completes.

Silently wrong would be a key that waits for PyTorch, a script that one of the shells cannot read, and a name that is
offered and is none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from torchmultiverse.cli.app import app

LINES = [
    ("torchmultiverse ", {"render", "eval", "data"}),
    ("torchmultiverse eval le", {"leaderboard"}),
    ("torchmultiverse render sp", {"spar"}),
    ("torchmultiverse show Des", {"Desert"}),
    ("torchmultiverse show Desert Zeb", {"Zebra"}),
    ("torchmultiverse show Desert Zebra --set Camera_Y", {"Camera_Yaw="}),
    ("torchmultiverse show Desert --engine mar", {"marker"}),
    ("torchmultiverse eval runs/ --protocol spar_", {"spar_pug2023"}),
    ("torchmultiverse eval slices runs/fir", {"runs/first"}),
    ("torchmultiverse eval slices ru", {"runs/"}),
    ("torchmultiverse eval slices runs/first --model ti", {"tiny"}),
    ("torchmultiverse eval gap runs/first tiny o", {"other"}),
    ("torchmultiverse eval gap runs/first tiny other --task re", {"relation"}),
    ("torchmultiverse eval slices runs/first --factor wor", {"world_name"}),
    ("torchmultiverse eval power spar --factor World", {"World_Name"}),
    ("torchmultiverse analyze layers tim", {"timm:"}),
    ("torchmultiverse specs list --format c", {"csv"}),
]


@pytest.fixture(autouse=True)
def _results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    facts = {"models": [{"name": "tiny"}, {"name": "other"}], "tasks": [{"name": "relation"}]}
    (folder / "provenance.json").write_text(json.dumps(facts))
    (folder / "results.json").write_text("[]")
    monkeypatch.chdir(tmp_path)


def _asked(shell: str, line: str) -> dict[str, str]:
    """Return what a shell puts into the environment to ask for the rest of a line."""
    if shell == "bash":
        how = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    else:
        how = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return {"_TORCHMULTIVERSE_COMPLETE": f"complete_{shell}", **how}


@pytest.mark.parametrize(
    ("line", "names", "shell"),
    [(*case, "bash") for case in LINES] + [(*case, shell) for case in LINES[2:13:5] for shell in ("zsh", "fish")],
)
def test_the_shell_completes(line: str, names: set[str], shell: str) -> None:
    done = CliRunner().invoke(app, [], prog_name="torchmultiverse", env=_asked(shell, line))
    offered = {word.replace("\\", "") for word in re.split(r"[\s\"()]+", done.output)}
    assert names <= offered, done.output


def test_without_results_nothing_is_offered_and_nothing_breaks(tmp_path: Path) -> None:
    (tmp_path / "runs" / "first" / "provenance.json").write_text("no JSON")
    for line in ("torchmultiverse eval slices runs/first --model ", "torchmultiverse eval slices none --model "):
        done = CliRunner().invoke(app, [], prog_name="torchmultiverse", env=_asked("bash", line))
        assert done.output.strip() == ""
        assert not isinstance(done.exception, ValueError | OSError)


def test_completing_loads_nothing_heavy() -> None:
    code = (
        "import inspect, sys; from types import SimpleNamespace as N; from torchmultiverse.cli import app, completion\n"
        "for name, f in inspect.getmembers(completion, inspect.isfunction):\n"
        "    if not name.startswith('_') and f.__module__ == completion.__name__:\n"
        "        given = [N(params={}, args=[])] if 'ctx' in inspect.signature(f).parameters else []\n"
        "        assert isinstance(f(*given, ''), list)\n"
        "        heavy = {'torch', 'mitsuba', 'drjit', 'timm', 'transformers', 'aiortc'} & set(sys.modules)\n"
        "        assert not heavy, (name, heavy)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SCRIPTS = {
    "bash": 'source s; COMP_WORDS=(torchmultiverse render sp); COMP_CWORD=2; _torchmultiverse_completion {}; '
    'echo "${{COMPREPLY[@]}}"',
    "zsh": "zsh -n s && grep -o compdef s | sort -u",
    "fish": "source s; complete -C 'torchmultiverse render sp'",
}  # fmt: skip
"""What a shell does with the script that the command prints for it. That of zsh completes in a terminal alone."""


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_script_of_a_shell_is_one(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    command = tmp_path / "torchmultiverse"
    command.write_text(f"#!{sys.executable}\nfrom torchmultiverse.cli import main\nmain()\n")
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = subprocess.run(
        [command], env={**env, "_TORCHMULTIVERSE_COMPLETE": f"source_{shell}"}, capture_output=True, text=True,
        check=False,
    ).stdout  # fmt: skip
    (tmp_path / "s").write_text(script)
    done = subprocess.run(
        [shell, "-c", SCRIPTS[shell].format(command)], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == ("compdef" if shell == "zsh" else "spar"), done.stderr
