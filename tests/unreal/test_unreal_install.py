"""Putting the bridge into a project, and packaging it. Silently wrong would be a project without the core's sources, or
one with both Pixel Streamings, of which Unreal then takes either."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BRIDGE = Path(__file__).resolve().parents[2] / "unreal_bridge"
PACKAGE = BRIDGE / "package_linux.sh"


def _project(folder: Path, plugins: list[dict[str, object]] | None = None) -> Path:
    folder.mkdir()
    (folder / "My.uproject").write_text(json.dumps({"FileVersion": 3, "Plugins": plugins or []}))
    return folder


def _install(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BRIDGE / "install.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _plugins(path: Path) -> dict[str, bool]:
    return {entry["Name"]: entry["Enabled"] for entry in json.loads(path.read_text())["Plugins"]}


def test_a_project_gets_all_that_it_needs(tmp_path: Path) -> None:
    before = [{"Name": name, "Enabled": True} for name in ("PixelStreaming", "Mine")]
    project = _project(tmp_path / "game", before)
    done = _install(project, "--unreal", "5.6", "--gltf")
    assert done.returncode == 0, done.stderr
    plugin = project / "Plugins" / "TorchMultiverseBridge"
    private = plugin / "Source" / "TorchMultiverseBridge" / "Private"
    for part in ("include", "src"):
        there = {path.relative_to(private / "Core") for path in (private / "Core" / part).rglob("*") if path.is_file()}
        right = {path.relative_to(BRIDGE / "core") for path in (BRIDGE / "core" / part).rglob("*") if path.is_file()}
        assert there == right
        assert right
    assert _plugins(project / "My.uproject") == {
        "Mine": True, "TorchMultiverseBridge": True, "PixelStreaming2": True, "PythonScriptPlugin": True,
        "TorchMultiverseGltf": True, "glTFRuntime": True, "PixelStreaming": False,
    }  # fmt: skip
    assert _plugins(plugin / "TorchMultiverseBridge.uplugin") == {"Niagara": True, "PixelStreaming2": True}
    scripts = {path.name for path in (plugin / "Content" / "Python").iterdir()}
    assert scripts == {path.name for path in (BRIDGE / "editor").glob("*.py")}
    assert "glTFRuntime itself is missing" in done.stdout

    assert _install(project, "--unreal", "5.6", "--pixel-streaming", 1).returncode == 0  # again, the other one
    assert _plugins(plugin / "TorchMultiverseBridge.uplugin") == {"Niagara": True, "PixelStreaming": True}
    assert _plugins(project / "My.uproject")["PixelStreaming2"] is False


def test_names_of_files_are_different_for_unreals_build_tool() -> None:
    """It names objects by the file alone."""
    private = BRIDGE / "TorchMultiverseBridge" / "Source" / "TorchMultiverseBridge" / "Private"
    names = [path.stem.casefold() for path in [*private.rglob("*.cpp"), *(BRIDGE / "core" / "src").rglob("*.cpp")]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--unreal", "5.4", "--pixel-streaming", "2"), "came with Unreal 5.5"),
        (("--unreal", "4.27"), "5.0 to 5.7 are right"),
        (("--unreal", "5.9"), "5.0 to 5.7 are right"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    project = _project(tmp_path / "game")
    done = _install(project, *arguments)
    assert (done.returncode, said in done.stderr) == (2, True)
    assert not (project / "Plugins").exists()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    assert "one .uproject is needed" in _install(tmp_path, "--unreal", "5.4").stderr
    project = _project(tmp_path / "game")
    mine = project / "Plugins" / "TorchMultiverseBridge" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert "is not this plugin" in _install(project, "--unreal", "5.4").stderr
    assert mine.read_text() == "mine"


def _package(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if key != "UNREAL_ENGINE"} | environment
    command = ["bash", str(PACKAGE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean)


def test_packaging_calls_unreals_automation_tool(tmp_path: Path) -> None:
    tool = tmp_path / "Unreal Engine" / "Engine" / "Build" / "BatchFiles" / "RunUAT.sh"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tool.chmod(0o755)
    project = tmp_path / "My.uproject"
    project.write_text("{}")
    given = ("--project", project, "--out", tmp_path / "out")
    done = _package("--engine", tmp_path / "Unreal Engine", *given, "--config", "Shipping")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:2] == ["BuildCookRun", f"-project={project}"]
    assert {"-platform=Linux", "-clientconfig=Shipping", "-cook", f"-archivedirectory={tmp_path / 'out'}"} <= set(said)
    dry = _package(*given, "--dry-run", UNREAL_ENGINE="/opt/ue 5")
    assert dry.stdout.startswith(r"/opt/ue\ 5/Engine/Build/BatchFiles/RunUAT.sh BuildCookRun")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "where is Unreal"),
        (("--engine", "/x"), "which project"),
        (("--engine", "/x", "--project", "a.uproject"), "where to"),
        (("--engine", "/x", "--project", "a.txt", "--out", "o"), "no .uproject"),
        (("--engine", "/x", "--project", "a.uproject", "--out", "o", "--config", "Debug"), "is right"),
        (("--engine", "/x", "--project", "a.uproject", "--out", "o"), "a.uproject is not there"),
        (("--engine",), "needs a value"),
        (("--fast",), "unknown option"),
    ],
)
def test_packaging_says_what_is_missing(arguments: tuple[str, ...], said: str) -> None:
    done = _package(*arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_the_script_is_clean_for_shellcheck() -> None:
    tool = shutil.which("shellcheck")
    if tool is None:
        assert subprocess.run(["bash", "-n", str(PACKAGE)], check=False).returncode == 0
        pytest.skip("no shellcheck on this machine; bash itself reads the script")
    assert subprocess.run([tool, str(PACKAGE)], check=False).returncode == 0
