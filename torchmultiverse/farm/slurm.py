"""A dataset as an array job of Slurm: one part per task, and a job that joins them when all are done."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.store.files import disk_errors, write_atomic


def write_jobs(out: Path, command: Sequence[str], tasks: int, options: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write the two job scripts into ``out/_slurm``.

    Args:
        out: folder of the dataset, on a disk that all machines see.
        command: what renders, without ``--part``; run with this Python.
        tasks: how many parts.
        options: of ``sbatch``, such as ``gres=gpu:1`` or ``time=4:00:00``.

    Returns:
        the array's script and the joining one.

    Raises:
        SpecError: an option that is none.
    """
    if tasks < 1:
        raise SpecError(f"tasks = {tasks}: at least one is needed")
    for option in options:
        if not option.replace("-", "").split("=")[0].isalnum() or "\n" in option:
            raise SpecError(
                f"slurm option {option!r}: write it as in a job script without the dashes, e.g. time=4:00:00"
            )
    folder = (out / "_slurm").resolve()
    head = ["#!/bin/bash", *(f"#SBATCH --{option}" for option in options)]
    python = shlex.quote(sys.executable)
    array = [
        *head,
        f"#SBATCH --array=0-{tasks - 1}",
        f"#SBATCH --output={folder}/part-%a.log",
        "#SBATCH --requeue",
        "# The same command continues a part that was interrupted, so the job may be sent again as it stands.",
        f"exec {python} -m torchmultiverse {shlex.join(command)} --part $SLURM_ARRAY_TASK_ID/{tasks}",
    ]
    last = [
        "#!/bin/bash",
        f"#SBATCH --output={folder}/join.log",
        f"exec {python} -m torchmultiverse farm join {shlex.quote(str(out.resolve()))}",
    ]
    scripts = folder / "array.sbatch", folder / "join.sbatch"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, lines in zip(scripts, (array, last), strict=True):
            write_atomic(path, ("\n".join(lines) + "\n").encode())
    return scripts


def submit(array: Path, last: Path) -> tuple[str, str]:
    """Send both jobs; return their numbers.

    Raises:
        EngineError: there is no Slurm here, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise EngineError(f"no 'sbatch' on this machine; the scripts are written: send {array}, then {last} after it")
    first = _sbatch([str(array)])
    return first, _sbatch([f"--dependency=afterok:{first}", str(last)])


def _sbatch(arguments: list[str]) -> str:
    done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise EngineError(f"sbatch refused: {done.stderr.strip()}")
    return done.stdout.strip().split(";")[0]
