"""Instances of a launch profile: which of them is free, and its processes.

Each instance has a folder on this machine with its log and a lock, so that several commands share a profile without
starting more than its cards bear. The folder has the machine's name in its path, and the number of a Slurm job, which
sees its own cards only: a home that many machines share has the instances of each apart.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import override

from torchmultiverse.errors import DatasetError, EngineError
from torchmultiverse.files import FolderLock
from torchmultiverse.paths import component
from torchmultiverse.profiles.profile import Profile
from torchmultiverse.profiles.shelf import is_profile, load_profile
from torchmultiverse.resources import cache_folder
from torchmultiverse.serve import LogFile, UnrealProcess

LOG = "engine.log"
WAIT = 60.0
"""Seconds to wait for an instance: one that was given up may take some to end."""


def instance_folder(name: str, instance: int) -> Path:
    """Return (and create) the folder of an instance on this machine.

    Raises:
        EngineError: it cannot be made.
    """
    job = os.environ.get("SLURM_JOB_ID")
    machine = (platform.node() or "localhost") + (f"-job-{job}" if job else "")
    try:
        return cache_folder("engines", component(name), component(machine), str(instance))
    except OSError as error:
        raise EngineError(
            f"{error.filename}: {error.strerror}; logs and locks of engines are kept there, TORCHMULTIVERSE_CACHE may "
            "name another folder"
        ) from None


def log_path(name: str, instance: int) -> Path:
    """Return the path of the log of an instance on this machine, which need not exist."""
    return instance_folder(name, instance) / LOG


class ProfileProcess(UnrealProcess):
    """The processes of one instance: the first that is free, or a certain one, which nobody else gets meanwhile.

    Args:
        name: of the profile.
        profile: loaded already, or by its name now.
        instance: a certain one; by default whichever is free.
        patience: seconds to wait for a free one.
        notify: called with what happens to it.
        server: arguments of `torchmultiverse.serve.launch.signalling_child`.

    Raises:
        EngineError: no such profile; all instances are in use (on `start`: it does not start).
    """

    def __init__(
        self,
        name: str,
        profile: Profile | None = None,
        *,
        instance: int | None = None,
        patience: float = WAIT,
        notify: Callable[[str], None] | None = None,
        **server: Any,
    ) -> None:
        self.profile = found = load_profile(name) if profile is None else profile
        self.instance, self._claim = _claim(name, found, instance, patience)
        super().__init__(
            Path(found.script), size=found.size, adapter=found.adapter(self.instance), arguments=found.arguments,
            environment=found.environment, start_timeout=found.start_timeout,
            log_file=LogFile(log_path(name, self.instance), found.log_bytes, found.log_files), notify=notify,
            generation=found.generation, restarts=found.restarts, **server,
        )  # fmt: skip
        self.name = name
        self.profile_name = name if is_profile(name) else ""

    @override
    def start(self) -> None:
        try:
            super().start()
        except BaseException as error:
            self.stop()
            if isinstance(error, EngineError):
                raise EngineError(f"{self.label}: {error}\n{self._where()}") from None
            raise

    @override
    def stop(self) -> None:
        try:
            super().stop()
        finally:
            self._claim.release()

    @override
    def lost(self) -> str | None:
        reason = super().lost()
        return None if reason is None else f"{self.label}: {reason}\n{self._where()}"

    @property
    def label(self) -> str:
        """What to call it in messages."""
        card = self.profile.adapter(self.instance)
        return f"{self.name}, instance {self.instance}" + ("" if card is None else f" on card {card}")

    def _where(self) -> str:
        return f"(all it printed: torchmultiverse engine logs {self.name} --instance {self.instance})"


def _claim(name: str, profile: Profile, instance: int | None, patience: float) -> tuple[int, FolderLock]:
    """Lock an instance for this process.

    Raises:
        EngineError: none is free.
    """
    wanted = range(profile.instances) if instance is None else (instance,)
    folders = {number: instance_folder(name, number) for number in wanted}
    end = time.monotonic() + patience
    while True:
        holders = []
        for number, folder in folders.items():
            try:
                return number, FolderLock(folder)
            except DatasetError as error:
                holders.append(str(error).rpartition(" by ")[2].partition(";")[0])
            except OSError as error:
                raise EngineError(f"{folder}: {error.strerror}") from None
        if time.monotonic() >= end:
            used = ", ".join(sorted(set(holders)))
            which = f"instance {instance}" if instance is not None else f"all {len(folders)} instances"
            raise EngineError(
                f"{which} of '{name}' on this machine: in use ({used}); end that, or allow more: "
                f"torchmultiverse engine edit {name} --set per_gpu={profile.per_gpu + 1}"
            )
        time.sleep(0.2)
