#!/usr/bin/env python3
"""Compile every source of the Unreal plugins against the stub headers: syntax and types, for Unreal 5.0 to 5.7.

    python3 unreal_bridge/check.py                  # all versions
    python3 unreal_bridge/check.py --version 5.4    # one

What it finds are typing mistakes, missing headers and calls that the stubs do not have. The stubs are this project's
own declarations of the API from Epic's documentation: that the plugin compiles here does not say that it compiles in
Unreal.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = ("TorchMultiverseBridge", "TorchMultiverseGltf")
FLAGS = ("-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wundef", "-Werror")


@dataclass(frozen=True)
class Build:
    """One way in which the sources are compiled."""

    minor: int
    standard: str
    pixel_streaming: int
    editor: int = 0

    @property
    def name(self) -> str:
        """What people read."""
        editor = ", editor" if self.editor else ""
        return f"Unreal 5.{self.minor}, {self.standard}, Pixel Streaming {self.pixel_streaming or 'none'}{editor}"


def builds() -> list[Build]:
    """Return the ways that are checked: Unreal 5.0 to 5.2 are C++17, 5.3 to 5.7 C++20."""
    found = [Build(minor, "c++17" if minor < 3 else "c++20", 1 if minor < 5 else 2) for minor in range(8)]
    return [*found, Build(7, "c++20", 1), Build(2, "c++20", 0, editor=1)]


def sources(root: Path) -> list[Path]:
    """Return the plugins' .cpp files, without the copy of the core that an installed plugin has."""
    every = (path for module in MODULES for path in sorted((root / module).rglob("*.cpp")))
    return [path for path in every if "Core" not in path.relative_to(root).parts]


def generated(root: Path, folder: Path) -> None:
    """Write the headers that Unreal's header tool would: empty ones, for each header that ends its includes with one.

    Raises:
        ValueError: a header with UCLASS or USTRUCT that does not, or does it before another include.
    """
    for path in [path for module in MODULES for path in sorted((root / module).rglob("*.h"))]:
        text = path.read_text()
        marked = re.search(r"^(UCLASS|USTRUCT)\(", text, re.M)
        includes = re.findall(r'^#include "([^"]+)"', text, re.M)
        own = f"{path.stem}.generated.h"
        if marked and (not includes or includes[-1] != own):
            raise ValueError(f"{path.name}: its last include must be {own}")
        if marked and text.count("GENERATED_BODY()") != len(re.findall(r"^(?:UCLASS|USTRUCT)\(", text, re.M)):
            raise ValueError(f"{path.name}: each UCLASS and USTRUCT needs GENERATED_BODY()")
        if marked:
            (folder / own).write_text("")


def include_folders(root: Path, folder: Path) -> list[str]:
    """Return the compiler's options: the stubs, the core, and the modules' own folders."""
    modules = [root / module / "Source" / module for module in MODULES]
    folders = [root / "stubs" / "include", root / "core" / "include", folder]
    folders += [module / kind for module in modules for kind in ("Public", "Private")]
    return [f"-I{path}" for path in folders if path.exists()]


def command(compiler: str, build: Build, file: Path, root: Path, folder: Path) -> list[str]:
    """Return the command that compiles a file."""
    defines = [f"-DENGINE_MAJOR_VERSION=5 -DENGINE_MINOR_VERSION={build.minor}".split()]
    defines += [[f"-DTMV_PIXEL_STREAMING={build.pixel_streaming}", f"-DTMV_STUB_EDITOR={build.editor}"]]
    flat = [word for words in defines for word in words]
    return [compiler, *FLAGS, f"-std={build.standard}", *flat, *include_folders(root, folder), str(file)]


def compile_all(root: Path, build: Build, compiler: str, *, apart: bool = False, only: str = "") -> str:
    """Compile all sources; as one unit (quick), or each by itself, which finds headers that are missing.

    ``only``: the name of one file, which is compiled alone.

    Returns:
        What the compiler said; empty where it had nothing to say.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            generated(root, folder)
        except ValueError as error:
            return str(error)
        files = [path for path in sources(root) if only in ("", path.name)]
        if not apart:
            unit = folder / "all.cpp"
            unit.write_text("".join(f'#include "{path}"\n' for path in files))
            files = [unit]
        said = []
        for file in files:
            done = subprocess.run(
                command(compiler, build, file, root, folder), capture_output=True, text=True, check=False
            )
            said += [done.stdout + done.stderr] if done.returncode or done.stderr else []
    return "".join(said)


README = Path("TorchMultiverseBridge") / "README.md"
BEGIN, END = "<!-- begin: api.csv -->", "<!-- end: api.csv -->"


def api_table(root: Path) -> str:
    """Return the table of the API as the plugin's README shows it."""
    lines = ["| header | API | Unreal | module | documentation |", "|---|---|---|---|---|"]
    with open(root / "api.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            names = [f"`{row['owner']}`"] if row["owner"] else []
            names += [f"`{name}`" for name in row["names"].split()]
            page = f"[page]({row['page']})" if row["page"] else row["evidence"]
            note = row["evidence"].removeprefix("seen").strip() if row["page"] else ""
            span = f"{row['first']} to {row['last']}"
            lines.append(
                f"| `{row['header']}` | {' '.join(names)} | {span} | {row['module']} | {page} {note}".rstrip() + " |"
            )
    return "\n".join(lines)


def with_api_table(text: str, table: str) -> str:
    """Return a README's text with the table between its two marks."""
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}"


def main() -> int:
    """Check what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--version", choices=[f"5.{minor}" for minor in range(8)], help="one version of Unreal")
    parser.add_argument("--compiler", default=shutil.which("g++") or shutil.which("clang++") or "c++")
    parser.add_argument("--root", type=Path, default=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--write-api", action="store_true", help="write api.csv into the plugin's README, and stop")
    given = parser.parse_args()
    if given.write_api:
        readme = given.root / README
        readme.write_text(with_api_table(readme.read_text(), api_table(given.root)))
        return 0
    wanted = [build for build in builds() if given.version in (None, f"5.{build.minor}")]
    wrong = 0
    for build in wanted:
        said = compile_all(given.root, build, given.compiler)
        print(f"{build.name}: {'wrong' if said else 'good'}", flush=True)
        sys.stderr.write(said)
        wrong += bool(said)
    said = compile_all(given.root, wanted[0], given.compiler, apart=True)
    print(f"{wanted[0].name}, each file by itself: {'wrong' if said else 'good'}")
    sys.stderr.write(said)
    return 1 if wrong or said else 0


if __name__ == "__main__":
    sys.exit(main())
