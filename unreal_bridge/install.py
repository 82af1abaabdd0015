#!/usr/bin/env python3
"""Put the bridge into an Unreal project: plugin, core and editor scripts, and the entries of the .uproject.

    python3 unreal_bridge/install.py ~/MyProject --unreal 5.4
    python3 unreal_bridge/install.py ~/MyProject --unreal 5.6 --gltf --pixel-streaming 1

Needs Python 3.9 or later and nothing else. Run again after an update: the plugins' folders are replaced.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BRIDGE, GLTF = "TorchMultiverseBridge", "TorchMultiverseGltf"
STREAMING = {1: "PixelStreaming", 2: "PixelStreaming2"}


class InstallError(Exception):
    """What is wrong with a project, in words."""


def minor_version(text: str) -> int:
    """Return 4 for ``5.4``.

    Raises:
        InstallError: another version than 5.0 to 5.7.
    """
    found = re.fullmatch(r"5\.(\d+)(?:\.\d+)?", text)
    if found is None or int(found[1]) > 7:
        raise InstallError(f"Unreal {text} is not known here; 5.0 to 5.7 are right")
    return int(found[1])


def streaming_version(minor: int, wanted: int | None) -> int:
    """Return which Pixel Streaming a project uses: 2 from Unreal 5.5 on, or the one that is wanted.

    Raises:
        InstallError: Pixel Streaming 2 before 5.5.
    """
    if wanted == 2 and minor < 5:
        raise InstallError(f"Pixel Streaming 2 came with Unreal 5.5; Unreal 5.{minor} has the first one")
    return wanted or (2 if minor >= 5 else 1)


def project_file(project: Path) -> Path:
    """Return the .uproject of a folder, or the file itself.

    Raises:
        InstallError: there is none, or more than one.
    """
    files = [project] if project.suffix == ".uproject" else sorted(project.glob("*.uproject"))
    if len(files) != 1 or not files[0].is_file():
        raise InstallError(f"{project}: one .uproject is needed, {len(files) if project.is_dir() else 'none'} is there")
    return files[0]


def with_plugins(document: dict[str, Any], names: list[str], off: list[str]) -> dict[str, Any]:
    """Return a .uproject or .uplugin in which some plugins are enabled and some are not; others stay as they are."""
    wanted = {name: True for name in names} | {name: False for name in off}
    kept = [entry for entry in document.get("Plugins", []) if entry.get("Name") not in wanted]
    known = {entry.get("Name") for entry in document.get("Plugins", [])}
    made = [{"Name": name, "Enabled": on} for name, on in wanted.items() if on or name in known]
    return {**document, "Plugins": kept + made}


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InstallError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise InstallError(f"{path} is no JSON object")
    return document


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent="\t") + "\n", encoding="utf-8")


def _replace(source: Path, target: Path) -> None:
    if target.exists() and not (target / f"{target.name}.uplugin").is_file():
        raise InstallError(f"{target} is there and is not this plugin; it is left alone")
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)


def install(project: Path, minor: int, streaming: int, *, gltf: bool = False, root: Path = HERE) -> list[str]:
    """Install and return what was done, a line each.

    Raises:
        InstallError: the project cannot take it.
    """
    uproject = project_file(project)
    document = _read(uproject)
    plugins = uproject.parent / "Plugins"
    plugins.mkdir(exist_ok=True)
    done = []
    for name in [BRIDGE, *([GLTF] if gltf else [])]:
        _replace(root / name, plugins / name)
        done.append(f"copied {name}")
    private = plugins / BRIDGE / "Source" / BRIDGE / "Private"
    for part in ("include", "src"):
        shutil.copytree(root / "core" / part, private / "Core" / part)
    done.append("copied the bridge core into it")
    python = plugins / BRIDGE / "Content" / "Python"
    shutil.copytree(root / "editor", python, ignore=shutil.ignore_patterns("*.sh", "__pycache__", "*.md"))
    done.append("copied the editor scripts into it")
    uplugin = plugins / BRIDGE / f"{BRIDGE}.uplugin"
    _write(uplugin, with_plugins(_read(uplugin), [STREAMING[streaming]], []))
    other = [STREAMING[3 - streaming]]
    enabled = [BRIDGE, STREAMING[streaming], "PythonScriptPlugin", *([GLTF, "glTFRuntime"] if gltf else [])]
    _write(uproject, with_plugins(document, enabled, other))
    done.append(f"enabled {', '.join(enabled)} in {uproject.name}")
    if gltf and not list(plugins.rglob("glTFRuntime.uplugin")):
        done.append("glTFRuntime itself is missing: put it into Plugins (github.com/rdeioris/glTFRuntime, MIT)")
    if streaming != (2 if minor >= 5 else 1):
        done.append("build with TMV_PIXEL_STREAMING=1 in the environment")
    return done


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, help="folder with the .uproject, or the file")
    parser.add_argument("--unreal", required=True, help="version of Unreal, such as 5.4")
    parser.add_argument("--pixel-streaming", type=int, choices=(1, 2), help="2 from Unreal 5.5 on, else 1")
    parser.add_argument(
        "--gltf", action="store_true", help="characters from glTF files at run time (needs glTFRuntime)"
    )
    given = parser.parse_args()
    try:
        minor = minor_version(given.unreal)
        streaming = streaming_version(minor, given.pixel_streaming)
        print("\n".join(install(given.project.expanduser(), minor, streaming, gltf=given.gltf)))
    except InstallError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
