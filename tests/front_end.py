"""Epic's published browser front ends, as tests use them: installed once from npm, and put together for one page.

Nothing of them is kept in this repository but their versions and hashes (`serve/front_ends/package-lock.json`, without
addresses). They are unpacked below `build/`, which git ignores.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

_PINNED = Path(__file__).parent / "serve" / "front_ends"
_CACHE = Path(__file__).parent.parent / "build" / "front_ends"
_LIMIT = 90.0
"""Seconds that npm may take, once."""
_NAME = "@epicgames-ps/lib-pixelstreamingfrontend-ue"
VERSIONS = [name.removeprefix(_NAME) for name in json.loads((_PINNED / "package.json").read_text())["dependencies"]]
# What a browser has itself, or a front end there does not use.
_EMPTY = {"ws"}


def installed() -> Path:
    """The folder `node_modules` with all versions; skips the test, with the reason, where it cannot be had."""
    found = _install()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _install() -> Path | str:
    """Return that folder, or why there is none: npm is asked once."""
    lock = (_PINNED / "package-lock.json").read_bytes()
    place = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    if (place / "node_modules").is_dir():
        return place / "node_modules"
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed, and Epic's front ends were not fetched before"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
        made = Path(folder) / "made"
        made.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PINNED / name, made)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--fetch-retries=1"]
        try:
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            return f"npm did not fetch Epic's front ends within {_LIMIT:g} s"
        if done.returncode:
            return f"npm could not fetch Epic's front ends: {' '.join(done.stderr.split())[:200]}"
        with suppress(OSError):  # another process was quicker
            made.rename(place)
    return place / "node_modules"


def script(version: str) -> str:
    """Return one expression that gives the library of a version, all its CommonJS modules put together.

    Each becomes a function of the expression, so that a page with a strict content policy can evaluate it too.
    """
    root = installed()
    names: dict[Path, int] = {}
    texts: dict[int, str] = {}
    waiting = [_package(root, _NAME + version)]
    names[waiting[0]] = 0
    while waiting:
        path = waiting.pop()
        text = re.sub(r"^//# sourceMappingURL=.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        needs = {}
        for wanted in sorted(set(re.findall(r"""\brequire\(["']([^"']+)["']\)""", text))):
            if wanted in _EMPTY:
                continue
            found = _relative(path, wanted) if wanted.startswith(".") else _package(root, wanted)
            if found not in names:
                names[found] = len(names)
                waiting.append(found)
            needs[wanted] = names[found]
        texts[names[path]] = f"[{json.dumps(needs)}, function (module, exports, require) {{\n{text}\n}}]"
    modules = ",\n".join(texts[number] for number in range(len(texts)))
    return (
        f"(() => {{ const modules = [{modules}], made = {{}}; const load = (n) => {{ if (!(n in made)) {{"
        "const module = made[n] = { exports: {} }; const [needs, body] = modules[n];"
        "body.call(module.exports, module, module.exports, (name) => name in needs ? load(needs[name]) : {}); }"
        "return made[n].exports; }; return load(0); })()"
    )


def _package(root: Path, name: str) -> Path:
    about = json.loads((root / name / "package.json").read_text(encoding="utf-8"))
    return _file(root / name / about.get("main", "index.js"))


def _relative(path: Path, wanted: str) -> Path:
    return _file(Path(os.path.normpath(path.parent / wanted)))


def _file(path: Path) -> Path:
    for one in (path, path.with_name(path.name + ".js"), path / "index.js"):
        if one.is_file():
            return one
    raise FileNotFoundError(path)
