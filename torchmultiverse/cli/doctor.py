"""What is installed, what works here, why not, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as Grid
from rich.text import Text

from torchmultiverse.cli.groups import app, examples
from torchmultiverse.cli.options import Assets, tabular
from torchmultiverse.cli.output import console as new_console
from torchmultiverse.cli.output import print_table
from torchmultiverse.resources import cache_folder
from torchmultiverse.tables import Table, text

State = Literal["ok", "missing", "broken", "note"]
_MARKS = {"ok": ("✓", "green"), "missing": ("–", "yellow"), "broken": ("✗", "red"), "note": ("·", "cyan")}
CHECKS = (text("state"), text("subject"), text("finding"), text("remedy"))
"""Columns of what was looked at."""
_EXTRAS = {
    "torch": ("torch", "training loops and model scoring"),
    "torchvision": ("eval", "model scoring"),
    "timm": ("eval", "timm models"),
    "open_clip_torch": ("eval", "CLIP models"),
    "datasets": ("datasets", "Hugging Face round trips"),
}


@app.command(epilog=examples("torchmultiverse doctor", "torchmultiverse doctor --fix --brief"))
@tabular(CHECKS)
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Fetch the LLVM library into the user's cache (Debian, Ubuntu).")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Print one line.")] = False,
) -> None:
    """Say what is installed, what works here and why not, and what to do about it."""
    report = examine(fix=fix)
    shown = Table(CHECKS)
    for check in report.checks:
        shown.add(check.state, check.subject, check.detail, check.remedy or None)
    print_table(shown, people=report.line() if brief else report)
    if not report.healthy:
        raise typer.Exit(1)


@app.command(epilog=examples("torchmultiverse demo --out demo"))
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of everything the demo makes.")] = Path("demo"),
    assets: Assets = None,
) -> None:
    """The main job end to end: render over WebRTC, store, train, score, report."""
    from torchmultiverse.demo import run

    run(out, new_console(), assets or ())


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, how it is, and the remedy where there is one."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


@dataclass
class Examination:
    """All findings. ``healthy`` is false only where the main job cannot run at all."""

    checks: list[Check] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether something that the main job needs is broken."""
        return all(check.state != "broken" for check in self.checks)

    def line(self) -> str:
        """Return one line: how pictures will be rendered here, and what is wrong."""
        renderer = next((c.detail for c in self.checks if c.subject == "renderer"), "no renderer")
        wrong = [c.subject for c in self.checks if c.state == "broken"]
        return f"renderer: {renderer}" + (f"; broken: {', '.join(wrong)}" if wrong else "")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Grid(box=None, padding=(0, 1), show_header=False)
        for check in self.checks:
            mark, colour = _MARKS[check.state]
            detail = Text(check.detail)
            if check.remedy:
                detail.append(f"\n→ {check.remedy}", style="bold")
            table.add_row(Text(mark, style=colour), check.subject, detail)
        yield table


def examine(fix: bool = False) -> Examination:
    """Look at everything; with ``fix``, fetch the LLVM library into the user's cache where it helps."""
    talking = (*_webrtc(), *_pixels(), *_profiles())
    return Examination([*_python(), *_packages(), *_renderer(fix), *_gpu(), *talking, *_places()])


def _python() -> Iterator[Check]:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Check(
        "Python",
        "ok" if good else "note",
        f"{version}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "" if good else "3.11 to 3.13 are tested",
    )


def _packages() -> Iterator[Check]:
    for requirement in importlib.metadata.requires("torchmultiverse") or []:
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0].split("[")[0].strip()
        for sign in "<>=!~ ":
            name = name.split(sign)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "broken", "not installed", "pip install --force-reinstall torchmultiverse")
    for name, (extra, purpose) in _EXTRAS.items():
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "missing", f"for {purpose}", f"pip install 'torchmultiverse[{extra}]'")


def _gpu() -> Iterator[Check]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Check("GPU", "missing", "no NVIDIA driver found; everything runs on the CPU")
        return
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    if answer.returncode:
        yield Check("GPU", "note", f"nvidia-smi fails: {(answer.stderr or answer.stdout).strip()[:200]}")
    for line in answer.stdout.splitlines():
        yield Check("GPU", "ok", line.strip())


def _profiles() -> Iterator[Check]:
    from torchmultiverse.errors import EngineError
    from torchmultiverse.profiles import load_profile, profile_names

    names = profile_names()
    for name in names:
        try:
            script = load_profile(name).script
        except EngineError as error:
            yield Check("launch profile", "note", f"{name}: {error}")
            continue
        if not os.access(script, os.X_OK):
            remedy = f"torchmultiverse engine edit {name} --set script=/new/path/Game.sh"
            yield Check("launch profile", "note", f"{name}: {script} is not there, or not executable", remedy)
    if names:
        yield Check("launch profiles", "ok", f"{', '.join(names)}; do they work? torchmultiverse engine diagnose NAME")


def _places() -> Iterator[Check]:
    folder = cache_folder()
    free = shutil.disk_usage(folder).free / 2**30
    yield Check("cache", "ok" if free > 1 else "note", f"{folder}, {free:.0f} GiB free")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    yield Check("browser", "ok" if browser else "missing", browser or "only the browser tests need one")


def _webrtc() -> Iterator[Check]:
    """Which WebRTC stack talks to engines behind an address."""
    from torchmultiverse.errors import EngineError
    from torchmultiverse.protocol.webrtc import TRANSPORT_VARIABLE, choose_stack

    remedy = "pip install 'torchmultiverse[native]'"
    try:
        stack = choose_stack()
    except EngineError as error:
        yield Check(
            "WebRTC", "note", str(error), remedy if "pip install" in str(error) else f"unset {TRANSPORT_VARIABLE}"
        )
        return
    if stack == "native":
        yield Check("WebRTC", "ok", f"libwebrtc (wrtc {importlib.metadata.version('wrtc')})")
    elif chosen := os.environ.get(TRANSPORT_VARIABLE):
        yield Check("WebRTC", "ok", f"aiortc, as {TRANSPORT_VARIABLE}={chosen} asks")
    else:
        yield Check("WebRTC", "ok", "aiortc; libwebrtc moves large pictures several times as fast", remedy)


def _pixels() -> Iterator[Check]:
    """Whether an engine and its client on this host can meet in shared memory."""
    from torchmultiverse.protocol import shared_memory

    try:
        if not shared_memory.available():
            raise OSError("this system has no anonymous shared memory")
        name = shared_memory.new_name()
        with shared_memory.listen(name), shared_memory.dial(name):
            os.close(shared_memory.create_region())
    except OSError as error:
        yield Check("pixels", "note", f"no shared memory: {error}; pictures come by a WebSocket")
    else:
        yield Check("pixels", "ok", "shared memory between an engine and its client on this host")


def _renderer(fix: bool) -> Iterator[Check]:
    from torchmultiverse.engines.builtin import missing_packages, probe
    from torchmultiverse.errors import TorchMultiverseError

    try:
        report = probe()
        if fix and report.chosen == "scalar_rgb":
            yield _fetch()
            report = probe(refresh=True)
    except TorchMultiverseError as error:
        packages = missing_packages(str(error))
        remedy = f"apt-get install {' '.join(packages)}" if packages else "pip install --force-reinstall mitsuba"
        yield Check("renderer", "broken", str(error), remedy)
        return
    where = f" with {report.library}" if report.library else ""
    yield Check("renderer", "ok" if not report.remedy else "note", f"{report.chosen}{where}", report.remedy)
    for trial in report.trials:
        if not trial.works:
            name = trial.variant + (f" with {trial.library}" if trial.library else "")
            yield Check(name, "missing", trial.reason)
    try:
        import pyoidn  # noqa: F401

        yield Check("denoiser", "ok", f"Open Image Denoise, pyoidn {importlib.metadata.version('pyoidn')}")
    except (ImportError, OSError) as error:
        yield Check("denoiser", "note", f"pictures stay noisy: {error}", "pip install --force-reinstall pyoidn")


def _fetch() -> Check:
    from torchmultiverse.engines.builtin import fetch_llvm
    from torchmultiverse.errors import TorchMultiverseError

    try:
        return Check("LLVM", "ok", f"fetched {fetch_llvm().library}")
    except TorchMultiverseError as error:
        # Rendering works without it, only slower, so this is no reason to end an installation.
        return Check("LLVM", "note", f"could not be fetched: {error}", "install libllvm19 with your package manager")
