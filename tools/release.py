"""What a release needs of the repository: its version, its notes, and a look into what was built.

python tools/release.py version          # of torchmultiverse/version.py
python tools/release.py notes 0.2.0      # its section of CHANGELOG.md
python tools/release.py check dist       # whether the wheel and the source distribution hold what they should
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = {"scenes": "torchmultiverse/_data/scenes", "benchmarks": "torchmultiverse/_data/benchmarks"}
"""Folders of the repository that travel inside the package."""
SOURCES = ("torchmultiverse", "scenes", "benchmarks", "tests", "docs", "tools", "unreal_bridge", "docker")
"""Folders that the source distribution holds."""


def version() -> str:
    """Return the version of the checkout."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "torchmultiverse" / "version.py").read_text(), re.M)
    if not found:
        raise SystemExit("torchmultiverse/version.py says no __version__")
    return found[1]


def notes(number: str) -> str:
    """Return the section of a version in CHANGELOG.md, without its heading."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(rf"^## \[?{re.escape(number)}(?![\w.])[^\n]*\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    if not found or not found[1].strip():
        raise SystemExit(f"CHANGELOG.md has no section '## [{number}]': give *Unreleased* its number and date")
    return found[1].strip()


def wanted(tracked: list[str]) -> tuple[set[str], set[str]]:
    """Return the files that wheel and source distribution hold, of those that the repository tracks."""
    package = {name for name in tracked if name.startswith("torchmultiverse/")}
    data = {f"{INSIDE[top]}/{rest}" for top, _, rest in (name.partition("/") for name in tracked) if top in INSIDE}
    return package | data, {name for name in tracked if name.split("/", 1)[0] in SOURCES}


def check(folder: Path) -> list[str]:
    """Return what is wrong with the one wheel and the one source distribution of a folder."""
    wheels, sources = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sources) != 1:
        return [f"{folder} holds {len(wheels)} wheels and {len(sources)} source distributions, one of each is needed"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    of_wheel, of_source = wanted([name for name in tracked if name])
    with zipfile.ZipFile(wheels[0]) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sources[0]) as tar:
        in_source = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    name = f"torchmultiverse-{version()}"
    told: list[tuple[str, set[str]]] = [
        ("the wheel lacks", of_wheel - in_wheel),
        ("the wheel holds what the repository does not", in_wheel - of_wheel),
        ("the source distribution lacks", of_source - in_source),
    ]
    problems = [f"{what}: {', '.join(sorted(files)[:5])} ({len(files)})" for what, files in told if files]
    return problems + [f"{path.name} is no {name}" for path in (*wheels, *sources) if not path.name.startswith(name)]


def main(arguments: list[str]) -> None:
    """Print what is asked for; a problem ends with exit code 1."""
    match arguments:
        case ["version"]:
            print(version())
        case ["notes", number]:
            print(notes(number))
        case ["check", folder]:
            problems = check(Path(folder))
            print("\n".join(problems) or f"{folder}: the wheel and the source distribution hold what they should")
            sys.exit(bool(problems))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
