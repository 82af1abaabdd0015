"""A dataset as an array job of Slurm: one part per task, and a job that joins them when all have ended."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.files import disk_errors, write_atomic

FOLDER = "_slurm"
JOIN_LOG = "join.log"
_OPTION = re.compile(r"([a-z][a-z0-9-]+)(?:=([^\0-\x1f]*))?")
_OURS = {
    "array": "the number of tasks is --workers",
    "chdir": "paths are those of this machine",
    "dependency": "the joining job depends on the array",
    "error": "each task writes its log beside the scripts",
    "output": "each task writes its log beside the scripts",
    "parsable": "it is there already",
    "wrap": "the command is the script's",
}
"""Options that the scripts set themselves, or that would break them."""
_CARDS = re.compile(r"gres.*|gpu.*|.*-per-gpu|tres-.*")
"""Options that ask for graphics cards, which joining does not need."""


def write_jobs(out: Path, command: Sequence[str], tasks: int, options: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write the two job scripts into ``out/_slurm``.

    Args:
        out: folder of the dataset, on a disk that all machines see.
        command: what renders, without ``--part``; run with this Python.
        tasks: how many parts.
        options: of ``sbatch``, such as ``gres=gpu:1`` or ``time=4:00:00``; both jobs have them, but the joining one
            asks for no graphics cards.

    Returns:
        the array's script and the joining one.

    Raises:
        SpecError: an option that is none, or one that the scripts set themselves.
    """
    if tasks < 1:
        raise SpecError(f"tasks = {tasks}: at least one is needed")
    folder = (out / FOLDER).resolve()
    if not str(folder).isprintable() or "\\" in str(folder):
        raise SpecError(f"{str(folder)!r}: Slurm takes no backslash and no control character in the path of a log")
    logs = str(folder).replace("%", "%%")
    lines = directives(options)
    python = shlex.quote(sys.executable)
    array = [
        "#!/bin/bash",
        *lines.values(),
        f"#SBATCH --array=0-{tasks - 1}",
        f"#SBATCH --output={shlex.quote(f'{logs}/part-%a.log')}",
        "#SBATCH --requeue",
        "# The same command continues a part that was interrupted, so the job may be sent again as it stands.",
        f"exec {python} -m torchmultiverse {shlex.join(command)} --part $SLURM_ARRAY_TASK_ID/{tasks}",
    ]
    last = [
        "#!/bin/bash",
        *(line for option, line in lines.items() if not _CARDS.fullmatch(option.partition("=")[0])),
        f"#SBATCH --output={shlex.quote(f'{logs}/{JOIN_LOG}')}",
        f"exec {python} -m torchmultiverse farm join {shlex.quote(str(out.resolve()))}",
    ]
    scripts = folder / "array.sbatch", folder / "join.sbatch"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JOIN_LOG).unlink(missing_ok=True)  # what an earlier try said
        for path, script in zip(scripts, (array, last), strict=True):
            write_atomic(path, ("\n".join(script) + "\n").encode())
    return scripts


def directives(options: Sequence[str]) -> dict[str, str]:
    """Return for each option the line of a job script that sets it.

    Raises:
        SpecError: an option that is none, or one that the scripts set themselves.
    """
    lines = {}
    for option in options:
        if (found := _OPTION.fullmatch(option)) is None:
            raise SpecError(f"slurm option {option!r}: write it as in a job script without dashes, e.g. time=4:00:00")
        name, value = found[1], found[2]
        if name in _OURS:
            raise SpecError(f"slurm option {option!r}: leave it out; {_OURS[name]}")
        lines[option] = f"#SBATCH --{name}" + ("" if value is None else f"={shlex.quote(value)}")
    return lines


def submit(array: Path, last: Path) -> tuple[str, str]:
    """Send both jobs; return their numbers.

    The joining job runs when the array has ended, well or not: it says which parts are not there.

    Raises:
        EngineError: there is no Slurm here, or it refuses; nothing is left in the queue.
    """
    if shutil.which("sbatch") is None:
        raise EngineError(f"no 'sbatch' on this machine; the scripts are written: send {array}, then {last} after it")
    first = _sbatch([str(array)])
    try:
        return first, _sbatch([f"--dependency=afterany:{first}", str(last)])
    except EngineError:
        with suppress(OSError):
            subprocess.run(["scancel", first], capture_output=True)
        raise


def last_log_line(out: Path) -> str:
    """Return the last line of the joining job's log; empty where there is none."""
    try:
        lines = (out / FOLDER / JOIN_LOG).read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _sbatch(arguments: list[str]) -> str:
    try:
        done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True)
    except OSError as error:
        raise EngineError(f"sbatch cannot be run: {error}") from None
    if done.returncode:
        raise EngineError(f"sbatch refused: {done.stderr.strip()}")
    return done.stdout.strip().split(";")[0]
