"""Which Mitsuba variant works here: found by trying each in a process of its own, remembered, said once.

A libLLVM that does not know the processor aborts the whole process, and so can a GPU driver; so nothing is loaded
into this process before it has rendered a picture elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.errors import EngineError, nearest
from torchmultiverse.files import write_atomic
from torchmultiverse.resources import cache_folder, llvm_folders

log = logging.getLogger(__name__)

VARIANTS = ("cuda_ad_rgb", "llvm_ad_rgb", "scalar_rgb")
"""Quickest first."""
_LLVM_PLACES = (
    "/usr/lib/*-linux-gnu/libLLVM*.so*",
    "/usr/lib64/libLLVM*.so*",
    "/usr/lib/libLLVM*.so*",
    "/usr/lib/llvm-*/lib/libLLVM*.so*",
    "/usr/local/lib/libLLVM*.so*",
    "/opt/homebrew/opt/llvm/lib/libLLVM*.dylib",
)
_TRIAL = """
import sys
import mitsuba as mi
mi.set_variant(sys.argv[1])
import numpy as np
scene = mi.load_dict({"type": "scene", "ball": {"type": "sphere"}, "sky": {"type": "constant"},
    "eye": {"type": "perspective", "film": {"type": "hdrfilm", "width": 8, "height": 8},
            "to_world": mi.ScalarTransform4f().look_at([0, -4, 0], [0, 0, 0], [0, 0, 1])}})
image = np.array(mi.render(scene, integrator=mi.load_dict({"type": "path", "max_depth": 3}), spp=4))
assert 0.5 < float(image.mean()) < 1, image.mean()
print("works")
"""


class Trial(BaseModel):
    """One attempt: a variant, with one LLVM library where it needs one."""

    model_config = ConfigDict(frozen=True)
    variant: str
    library: str = ""
    works: bool = False
    reason: str = ""


class Report(BaseModel):
    """What was tried, best first, and what is used.

    Attributes:
        chosen: the variant to use.
        library: the LLVM library to use with it, or "".
        remedy: what would make a quicker one work, or "".
    """

    model_config = ConfigDict(frozen=True)
    chosen: str
    library: str = ""
    trials: list[Trial] = Field(default_factory=list)
    remedy: str = ""

    def sentence(self) -> str:
        """Return one short line for people: what is used and why nothing quicker; ``trials`` have the whole reasons."""
        text = self.chosen + (f" with {self.library}" if self.library else "")
        missed = [t for t in self.trials if not t.works and VARIANTS.index(t.variant) <= VARIANTS.index(self.chosen)]
        # The first of a variant is its newest library. What a compiler says as it aborts is a page long.
        first = {t.variant: textwrap.shorten(t.reason, 60, placeholder=" …") for t in reversed(missed)}
        reasons = [f"{variant}: {first[variant]}" for variant in VARIANTS if variant in first]
        return text + (f" ({'; '.join(reasons)})" if reasons else "")


def llvm_libraries() -> Iterator[Path]:
    """Yield the LLVM libraries of this machine, in the order to try: named, fetched, the system's newest first."""
    seen: set[Path] = set()

    def fresh(path: Path) -> bool:
        real = path.resolve()
        return real.is_file() and not (real in seen or seen.add(real))  # type: ignore[func-returns-value]

    named = os.environ.get("DRJIT_LIBLLVM_PATH")
    if named and fresh(Path(named)):
        yield Path(named)
    fetched = [path for folder in llvm_folders() for path in folder.glob("**/libLLVM*.so*")]
    own = sorted(fetched, key=_version, reverse=True)
    system = [path for place in _LLVM_PLACES for path in Path("/").glob(place.lstrip("/"))]
    for path in [*own, *sorted(system, key=_version, reverse=True)]:
        if fresh(path):
            yield path


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.name)) or (0,)


def try_variant(variant: str, library: str = "", timeout: float = 90) -> Trial:
    """Render a tiny picture with a variant in a process of its own."""
    environment = dict(os.environ)
    if library:
        environment["DRJIT_LIBLLVM_PATH"] = library
        # Its own dependencies may have been fetched beside it.
        if _fetched(Path(library)):
            beside = str(Path(library).parent)
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [beside, os.environ.get("LD_LIBRARY_PATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL, variant],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Trial(variant=variant, library=library, reason=f"no picture within {timeout:g} s")
    if done.returncode == 0 and "works" in done.stdout:
        return Trial(variant=variant, library=library, works=True)
    lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|could not|cannot|fail|unsupported|not found", line, re.I)]
    reason = (errors or lines or [f"exit status {done.returncode}"])[0 if errors else -1]
    if done.returncode < 0:
        reason = f"aborts with signal {-done.returncode}: {reason}"
    return Trial(variant=variant, library=library, reason=reason[:240])


def _cuda_possible() -> str:
    """Return why there can be no GPU here, or ""."""
    if (
        not Path("/proc/driver/nvidia").exists()
        and not Path("/dev/nvidiactl").exists()
        and not Path("/dev/dxg").exists()
    ):
        return "no NVIDIA driver"
    return ""


def _state() -> str:
    """Return what the result depends on, as text."""
    facts: list[Any] = [sys.version, sys.executable, _cuda_possible(), os.environ.get("CUDA_VISIBLE_DEVICES")]
    facts += [importlib.metadata.version(name) for name in ("mitsuba", "drjit")]
    facts += [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in llvm_libraries()]
    return hashlib.sha256(json.dumps([facts, _TRIAL]).encode()).hexdigest()[:32]


def probe(refresh: bool = False) -> Report:
    """Return which variant works here. The first call on a machine takes some seconds; its answer is kept on disk.

    Args:
        refresh: try again whatever is remembered.
    """
    name = f"{_state()}.json"
    if not refresh:
        with suppress(OSError, ValidationError):
            return Report.model_validate_json((cache_folder("variant") / name).read_text())
    report = _probe()
    try:
        write_atomic(cache_folder("variant") / name, report.model_dump_json(indent=1).encode(), sync=False)
    except OSError as error:
        log.warning("which renderer works here is not kept, and is tried in each run: %s", error)
    return report


def _probe() -> Report:
    trials: list[Trial] = []
    missing = _cuda_possible()
    trials.append(Trial(variant="cuda_ad_rgb", reason=missing) if missing else try_variant("cuda_ad_rgb"))
    libraries = list(llvm_libraries())
    if not trials[0].works:
        for library in libraries:
            trials.append(try_variant("llvm_ad_rgb", str(library)))
            if trials[-1].works:
                break
        if not libraries:
            trials.append(Trial(variant="llvm_ad_rgb", reason="no libLLVM found"))
    if not any(t.works for t in trials):
        trials.append(try_variant("scalar_rgb"))
    good = next((t for t in trials if t.works), None)
    if good is None:
        told = "no variant of Mitsuba works here: " + "; ".join(f"{t.variant}: {t.reason}" for t in trials)
        if packages := missing_packages(told):
            told += f". On Debian and Ubuntu: apt-get install {' '.join(packages)}"
        raise EngineError(told)
    remedy = ""
    if good.variant == "scalar_rgb":
        remedy = "`torchmultiverse doctor --fix`, or install libllvm19, makes it about four times as fast"
    return Report(chosen=good.variant, library=good.library, trials=trials, remedy=remedy)


def missing_packages(told: str) -> list[str]:
    """Return the Debian packages of shared libraries that an error names as missing; by Debian's rule for their names.

    >>> missing_packages("ImportError: libatomic.so.1: cannot open shared object file: No such file or directory")
    ['libatomic1']
    """
    found = re.findall(r"\b(lib[a-z0-9+.-]+?)\.so\.(\d+): cannot open shared object file", told, re.IGNORECASE)
    return sorted({f"{name.lower()}{'-' if name[-1].isdigit() else ''}{number}" for name, number in found})


@functools.cache
def _log_once(sentence: str, slow: bool) -> None:
    # A warning reaches stderr also where nobody has set up logging.
    log.log(logging.WARNING if slow else logging.INFO, "renderer: %s", sentence)


def activate(variant: str | None = None) -> str:
    """Set Mitsuba's variant in this process and return its name. All engines of one process share one.

    Raises:
        EngineError: an unknown variant, one that does not work here, or another one is already in use.
    """
    if variant is not None and variant not in VARIANTS:
        raise EngineError(f"no renderer variant '{variant}'.{nearest(variant, VARIANTS)}")
    current = sys.modules["mitsuba"].variant() if "mitsuba" in sys.modules else None
    if current is not None:
        if variant not in (None, current):
            raise EngineError(f"this process renders with {current} already; {variant} needs a process of its own")
        return str(current)
    report: Report | None = None
    chosen: str = variant or "scalar_rgb"
    if variant != "scalar_rgb":
        report = probe()
        chosen = variant or report.chosen
    message = (
        report.sentence() + (f"; {report.remedy}" if report.remedy else "") if report and variant is None else chosen
    )
    if chosen == "llvm_ad_rgb":
        library = _llvm_library(report)
        use_library(library)
        if (wrong := _loaded_wrongly(library)) is not None:
            if variant is not None:
                raise EngineError(wrong)
            log.warning("the slow renderer is used: %s", wrong)
            chosen = message = "scalar_rgb"
    import mitsuba as mi

    mi.set_variant(chosen)
    _log_once(message, slow=variant is None and chosen == "scalar_rgb")
    return chosen


def use_library(library: str | None = None) -> None:
    """Have Dr.Jit take an LLVM library. It takes one when it is imported, so this comes before any such import.

    Args:
        library: its path; by default the one that was found to work, where there is one.
    """
    if "drjit" in sys.modules:
        return
    library = probe().library if library is None else library
    if library:
        os.environ["DRJIT_LIBLLVM_PATH"] = library
        _load_beside(Path(library))


def _loaded_wrongly(library: str) -> str | None:
    """Return what is wrong with the LLVM library that Dr.Jit has loaded, if it is not the one that was asked for."""
    import drjit  # noqa: F401

    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:  # not Linux
        return None
    loaded = {line.split()[-1] for line in maps.splitlines() if "libLLVM" in line}
    if not loaded or any(os.path.realpath(path) == os.path.realpath(library) for path in loaded):
        return None
    other = sorted(loaded)[0]
    trial = try_variant("llvm_ad_rgb", other)
    if trial.works:
        return None
    return (
        f"Dr.Jit was imported earlier and took {other}, which fails here ({trial.reason[:80]}); start an engine of "
        f"torchmultiverse first, or set DRJIT_LIBLLVM_PATH={library}"
    )


def _llvm_library(report: Report | None) -> str:
    if report and report.chosen == "llvm_ad_rgb":
        return report.library
    tried = [try_variant("llvm_ad_rgb", str(path)) for path in llvm_libraries()]
    for trial in tried:
        if trial.works:
            return trial.library
    reasons = "; ".join(f"{t.library}: {t.reason}" for t in tried) or "no libLLVM found"
    raise EngineError(f"llvm_ad_rgb does not work here: {reasons}. `torchmultiverse doctor --fix` may fetch one")


def _fetched(library: Path) -> bool:
    return any(library.is_relative_to(folder) for folder in llvm_folders())


def _load_beside(library: Path) -> None:
    """Load the fetched dependencies of a fetched library, which the system's loader would not find."""
    import contextlib
    import ctypes

    if not _fetched(library):
        return
    waiting = [path for path in sorted(library.parent.glob("*.so*")) if path.resolve() != library.resolve()]
    for _ in range(3):
        for path in list(waiting):
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                waiting.remove(path)
