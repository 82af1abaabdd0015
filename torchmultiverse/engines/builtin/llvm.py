"""Fetching the LLVM library that the quick CPU variant needs, on Debian and Ubuntu, without root.

The packages come through the machine's own `apt-get`, from the archives it is configured for, and are unpacked into a
folder of the user's data; nothing is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from torchmultiverse.engines.builtin.variant import Trial, try_variant
from torchmultiverse.errors import EngineError
from torchmultiverse.resources import llvm_folders

_KNOWN_GOOD = 19
_OLDEST = 17
"""Debian 12's 14, 15 and 16 abort on recent processors."""


def fetch_llvm() -> Trial:
    """Fetch an LLVM library into a folder of the user's data and prove that it renders.

    Returns:
        The trial of the library that works.

    Raises:
        EngineError: not a Debian or Ubuntu system, no package to be had, or none of them works here.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise EngineError(
                f"LLVM can be fetched on Debian and Ubuntu only ({tool} is missing); install libLLVM 19 yourself"
            )
    with tempfile.TemporaryDirectory(prefix="torchmultiverse-llvm-") as scratch:
        options = _lists(Path(scratch))
        packages = _candidates(options)
        if not packages:
            raise EngineError("this system's package archives hold no libllvm17 or newer")
        reasons = []
        for package in packages:
            folder = llvm_folders()[0] / package
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _unpack(package, folder, Path(scratch), options)
                library = _library(folder)
                for missing in _missing(library):
                    for owner in _owners(missing, options):
                        _unpack(owner, folder, Path(scratch), options)
                trial = try_variant("llvm_ad_rgb", str(_gather(folder, library)))
            except EngineError as error:
                trial = Trial(variant="llvm_ad_rgb", library=package, reason=str(error))
            if trial.works:
                return trial
            reasons.append(f"{package}: {trial.reason}")
            shutil.rmtree(folder, ignore_errors=True)
        raise EngineError("no fetched LLVM works here: " + "; ".join(reasons))


def _run(command: list[str], cwd: Path | None = None, timeout: float = 600) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise EngineError(f"{' '.join(command[:2])} took longer than {timeout:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("E:", "dpkg"))] or [done.stderr.strip()]
        raise EngineError(f"{command[0]} fails: {lines[0][:300]}")
    return done.stdout


def _lists(scratch: Path) -> list[str]:
    """Return apt options under which the package lists are there, fetching them into a folder of our own if not."""
    if "Package:" in _quiet(["apt-cache", "show", "libz3-4"]) and _candidates([]):
        return []
    state, cache = scratch / "lists", scratch / "cache"
    (state / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::Lists={state}", "-o", f"Dir::Cache={cache}", "-o", "Debug::NoLocking=1"]
    _run(["apt-get", *options, "update"])
    return options


def _quiet(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout


def _candidates(options: list[str]) -> list[str]:
    """Return the packages to try: the version known to work, then newer ones, then older ones."""
    names = _quiet(["apt-cache", *options, "pkgnames", "libllvm"]).split()
    versions = sorted({int(m[1]) for name in names if (m := re.fullmatch(r"libllvm(\d+)", name))}, reverse=True)
    good = [v for v in versions if v >= _OLDEST]
    return [f"libllvm{v}" for v in sorted(good, key=lambda v: (v != _KNOWN_GOOD, -v))]


def _unpack(package: str, folder: Path, scratch: Path, options: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        _run(["apt-get", *options, "download", package], cwd=Path(place))
        for archive in Path(place).glob("*.deb"):
            _run(["dpkg-deb", "-x", str(archive), str(folder)])


def _library(folder: Path) -> Path:
    found = sorted(
        (path for path in folder.glob("**/libLLVM*.so*") if path.is_file()), key=lambda p: (p.is_symlink(), p.name)
    )
    if not found:
        raise EngineError("the package holds no libLLVM")
    return found[0]


def _missing(library: Path) -> list[str]:
    """Return the shared libraries that the loader does not find for a library."""
    return re.findall(r"^\s*(\S+) => not found", _quiet(["ldd", str(library)]), re.M)


def _owners(library: str, options: list[str]) -> list[str]:
    """Return the package that brings a shared library, by Debian's naming: libz3.so.4 is in libz3-4."""
    match = re.fullmatch(r"(lib[\w+.-]+?)\.so\.(\d+)(?:\..*)?", library)
    if not match:
        return []
    stem, number = match[1].lower().replace("_", "-"), match[2]
    guesses = [f"{stem}-{number}" if stem[-1].isdigit() else f"{stem}{number}"]
    guesses += [f"{guesses[0]}t64", f"{stem}-{number}", f"{stem}{number}"]
    names = set(_quiet(["apt-cache", *options, "pkgnames", stem]).split())
    return [guess for guess in dict.fromkeys(guesses) if guess in names][:1]


def _gather(folder: Path, library: Path) -> Path:
    """Put the fetched dependencies beside the library, where it is looked for, and return the library."""
    for path in sorted(folder.glob("**/lib*.so*")):
        beside = library.parent / path.name
        if not beside.exists():
            beside.symlink_to(path.resolve())
    return library
