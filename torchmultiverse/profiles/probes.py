"""What of a machine keeps a headless Unreal binary from starting, found before it is started.

Each probe looks at one thing and gives findings; `probe` runs all of them. They read the machine through `Host`, so
that tests give them another one.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from torchmultiverse.errors import EngineError
from torchmultiverse.profiles import vulkan_devices
from torchmultiverse.profiles.binary import Binary, binaries
from torchmultiverse.profiles.profile import Profile

State = Literal["ok", "note", "broken"]
_TIMEOUT = 60.0
_ICD_FOLDERS = ("etc/vulkan/icd.d", "usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d")
_ICD_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_WINDOWED = ("-windowed", "-fullscreen", "-opengl", "-gl4")
_CARD_BYTES = 2 * 2**30
"""Memory of a card that an instance of a small project needs at least."""
_SHM_BYTES = 128 * 2**20
_DISK_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``note``: may be wrong; ``broken``: no engine starts like this.
        subject: what was looked at.
        detail: what was found.
        remedy: what to do; empty where nothing is.
    """

    state: State
    subject: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Host:
    """The machine as probes see it.

    Attributes:
        root: of the file system.
        environment: variables that the engine will have.
        uid: user id that it will have.
        machine: processor, as ``uname -m`` says.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    uid: int = field(default_factory=os.geteuid)
    machine: str = field(default_factory=platform.machine)

    @property
    def container(self) -> bool:
        """Whether this is a container."""
        files = (".dockerenv", "run/.containerenv", ".singularity.d")
        return any((self.root / name).exists() for name in files) or "KUBERNETES_SERVICE_HOST" in self.environment


def probe(profile: Profile, host: Host | None = None) -> list[Finding]:
    """Return all findings for a profile on a machine.

    Args:
        profile: of the binary.
        host: by default this machine, with the variables of the profile.
    """
    there = host or Host(environment={**os.environ, **profile.environment})
    return [finding for one in _PROBES for finding in one(profile, there)]


def _script(profile: Profile, host: Host) -> Iterator[Finding]:
    path = Path(profile.script)
    if not path.is_file():
        moved = "was the project moved? --set script=/new/path/Game.sh"
        yield Finding("broken", "script", f"{path} is not there", moved)
        return
    if not os.access(path, os.X_OK):
        yield Finding("broken", "script", f"{path} is not executable", f"chmod +x '{path}'")
        return
    if b"\r\n" in path.read_bytes()[:4096]:
        yield Finding("broken", "script", f"{path} has Windows line ends", f"sed -i 's/\\r$//' '{path}'")
        return
    yield Finding("ok", "script", str(path))
    found = binaries(path)
    if not found:
        yield Finding("note", "binary", f"none found that {path.name} would start in */Binaries/Linux/")
    for binary in found:
        yield from _binary(binary, host)


def _binary(binary: Binary, host: Host) -> Iterator[Finding]:
    if not os.access(binary.path, os.X_OK):
        yield Finding("broken", "binary", f"{binary.path} is not executable", f"chmod +x '{binary.path}'")
    elif binary.machine != host.machine:
        yield Finding(
            "broken", "binary", f"{binary.path} is for {binary.machine}, and this machine is {host.machine}",
            "package the project for this processor, or use a machine of that kind",
        )  # fmt: skip
    else:
        yield Finding("ok", "binary", f"{binary.path}, {binary.machine}")
        if missing := binary.missing_libraries(host.environment):
            packages = " ".join(sorted({package for name in missing if (package := _packages().get(name))}))
            unknown = [name for name in missing if name not in _packages()]
            remedy = f"apt-get install {packages} (or the same of this distribution)" if packages else ""
            more = f"find what brings {', '.join(unknown)}: apt-file search, dnf provides" if unknown else ""
            remedy = "; ".join(text for text in (remedy, more) if text)
            yield Finding("broken", "libraries", f"missing: {', '.join(missing)}", remedy)
        else:
            yield Finding("ok", "libraries", "all that the binary is linked against are there")


@cache
def _packages() -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(__file__).with_name("libraries.json").read_text("utf-8"))
    return found


def _user(profile: Profile, host: Host) -> Iterator[Finding]:
    if host.uid == 0:
        yield Finding(
            "broken", "user", "this is root, and Unreal refuses to run as root",
            "use another user: docker run --user 1000, runAsUser in Kubernetes, sudo -u NAME",
        )  # fmt: skip
    else:
        yield Finding("ok", "user", f"user id {host.uid}, not root")


def _arguments(profile: Profile, host: Host) -> Iterator[Finding]:
    screen = host.environment.get("DISPLAY") or host.environment.get("WAYLAND_DISPLAY")
    wrong = [one for one in profile.arguments if one.lower().startswith(_WINDOWED)]
    if wrong and not screen:
        yield Finding(
            "broken", "arguments", f"{', '.join(wrong)} needs a screen, and there is none (no DISPLAY)",
            "take it out of the arguments; the launcher adds -RenderOffScreen",
        )  # fmt: skip
    elif any(one.lower() == "-nullrhi" for one in profile.arguments):
        yield Finding("broken", "arguments", "-nullrhi draws nothing", "take it out of the arguments")
    if driver := host.environment.get("SDL_VIDEODRIVER"):
        state: State = "note" if driver in ("offscreen", "dummy") else "broken" if not screen else "note"
        remedy = "unset it; -RenderOffScreen chooses: --set environment.SDL_VIDEODRIVER=offscreen"
        yield Finding(state, "SDL_VIDEODRIVER", f"is '{driver}'", "" if driver == "offscreen" else remedy)
    if cards := host.environment.get("CUDA_VISIBLE_DEVICES"):
        yield Finding("note", "CUDA_VISIBLE_DEVICES", f"is '{cards}'; Unreal does not heed it, the field gpus counts")


def _container(profile: Profile, host: Host) -> Iterator[Finding]:
    if not host.container:
        return
    given = host.environment.get("NVIDIA_DRIVER_CAPABILITIES", "")
    names = set(given.replace(" ", "").split(","))
    if _has_nvidia(host) and not names & {"all", "graphics"}:
        yield Finding(
            "broken", "container", f"NVIDIA_DRIVER_CAPABILITIES is '{given}', without graphics: no Vulkan driver",
            "set NVIDIA_DRIVER_CAPABILITIES=all in the image or with docker run --env, and start it anew",
        )  # fmt: skip
    else:
        yield Finding(
            "ok", "container", f"NVIDIA_DRIVER_CAPABILITIES is '{given}'" if given else "no NVIDIA card in it"
        )
    memory = host.root / "dev/shm"
    if memory.is_dir() and (size := shutil.disk_usage(memory).total) < _SHM_BYTES:
        yield Finding(
            "note", "shared memory", f"/dev/shm has {size / 2**20:.0f} MiB",
            "docker run --shm-size 1g; in Kubernetes an emptyDir of medium Memory at /dev/shm",
        )  # fmt: skip


def _has_nvidia(host: Host) -> bool:
    return any((host.root / "dev").glob("nvidia[0-9]*")) or (host.root / "proc/driver/nvidia/version").exists()


def _devices(profile: Profile, host: Host) -> Iterator[Finding]:
    found = sorted([*(host.root / "dev").glob("nvidia[0-9]*"), *(host.root / "dev/dri").glob("renderD*")])
    closed = [path for path in found if not os.access(path, os.R_OK | os.W_OK)]
    names = ", ".join("/" + str(path.relative_to(host.root)) for path in closed or found)
    if closed:
        yield Finding(
            "broken" if len(closed) == len(found) else "note", "device files", f"no right to read and write {names}",
            "sudo usermod -aG render,video $USER and log in again; docker run --group-add $(stat -c %g FILE)",
        )  # fmt: skip
    elif found:
        yield Finding("ok", "device files", names)
    else:
        yield Finding(
            "note", "device files", "neither /dev/nvidia* nor /dev/dri/renderD*: no graphics card is visible",
            "docker run --gpus all; sbatch --gres=gpu:1; resources.limits 'nvidia.com/gpu' in Kubernetes",
        )  # fmt: skip


def _vulkan(profile: Profile, host: Host) -> Iterator[Finding]:
    files = [path for name in _ICD_VARIABLES for path in host.environment.get(name, "").split(":") if path]
    named = bool(files)
    if not named:
        home = host.environment.get("HOME", "")
        folders = [host.root / folder for folder in _ICD_FOLDERS]
        folders += [Path(home, ".local/share/vulkan/icd.d")] if home and host.root == Path("/") else []
        files = [str(path) for folder in folders for path in sorted(folder.glob("*.json"))]
    if named and (gone := [path for path in files if not Path(path).is_file()]):
        yield Finding(
            "broken", "Vulkan driver", f"{', '.join(gone)} is not there, and {' or '.join(_ICD_VARIABLES)} names it",
            "unset the variable, or name the file that the driver brought",
        )  # fmt: skip
    elif not files:
        yield Finding(
            "broken", "Vulkan driver", "no driver (ICD) is registered in /usr/share/vulkan/icd.d or /etc/vulkan/icd.d",
            "install libnvidia-gl of the driver's version, or mesa-vulkan-drivers; in a container "
            "NVIDIA_DRIVER_CAPABILITIES=all",
        )  # fmt: skip
    else:
        yield Finding("ok", "Vulkan driver", ", ".join(Path(path).name for path in files))
    yield from _adapters(profile, host)


def _adapters(profile: Profile, host: Host) -> Iterator[Finding]:
    try:
        found = vulkan(host.environment)
    except EngineError as error:
        yield Finding("broken", "Vulkan", str(error), "a broken driver; see vulkaninfo --summary and dmesg")
        return
    if found["loader"]:
        yield Finding(
            "broken", "Vulkan", f"its loader cannot be loaded: {found['loader']}",
            "apt-get install libvulkan1, dnf install vulkan-loader; in a container it belongs into the image",
        )  # fmt: skip
        return
    cards = [f"{number}: {one['name']} ({one['type']})" for number, one in enumerate(found["devices"])]
    if not cards:
        yield Finding(
            "broken", "Vulkan", f"no graphics card (VkResult {found['result']})",
            "is the driver's graphics part there (libnvidia-gl, mesa-vulkan-drivers), and the card visible?",
        )  # fmt: skip
        return
    if beyond := [card for card in profile.gpus if card >= len(cards)]:
        yield Finding(
            "broken", "cards", f"gpus names {', '.join(map(str, beyond))}; Vulkan has {'; '.join(cards)}",
            f"--set gpus={','.join(str(number) for number in range(len(cards)))}; a job or container sees its own "
            "cards only, from 0",
        )  # fmt: skip
        return
    slow = all(one["type"] == "cpu" for one in found["devices"])
    used = [cards[number] for number in profile.gpus] or cards
    yield Finding(
        "note" if slow else "ok", "cards", "; ".join(used),
        "this is a software renderer: it draws, slowly; no driver of a real card was found" if slow else "",
    )  # fmt: skip


def vulkan(environment: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """Return what `torchmultiverse.profiles.vulkan_devices` finds, in a process of its own.

    Raises:
        EngineError: the process ended without an answer, as with a broken driver.
    """
    command = [sys.executable, "-I", "-S", vulkan_devices.__file__]
    try:
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=_TIMEOUT)
        found: dict[str, list[dict[str, str]]] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise EngineError(f"the Vulkan driver did not answer within {_TIMEOUT:g} s") from None
    except (ValueError, IndexError):
        words = done.stderr.strip().splitlines()
        raise EngineError(f"asking for cards ended with code {done.returncode}: {words[-1] if words else ''}") from None
    return found


def _nvidia(profile: Profile, host: Host) -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi", path=host.environment.get("PATH"))
    if tool is None:
        return
    query = [tool, "--query-gpu=index,name,memory.free,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, env=dict(host.environment), capture_output=True, text=True, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("note", "NVIDIA", f"nvidia-smi fails: {error}")
        return
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        remedy = "restart the machine" if "mismatch" in " ".join(words) else "see whether the driver is loaded: lsmod"
        yield Finding("broken", "NVIDIA", f"nvidia-smi fails: {words[0][:200] if words else done.returncode}", remedy)
        return
    for line in done.stdout.splitlines():
        number, name, free, total, driver = (part.strip() for part in line.split(","))
        detail = f"card {number}: {name}, {free} of {total} MiB free, driver {driver}"
        full = free.isdecimal() and int(free) * 2**20 < _CARD_BYTES * profile.per_gpu
        remedy = f"{profile.per_gpu} engines may not fit: fewer (per_gpu), or end what else runs on it" if full else ""
        yield Finding("note" if full else "ok", "NVIDIA", detail, remedy)


def _loopback(profile: Profile, host: Host) -> Iterator[Finding]:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(5)
            with socket.create_connection(server.getsockname(), timeout=5), server.accept()[0]:
                yield Finding("ok", "loopback", "127.0.0.1 can be reached")
    except OSError as error:
        yield Finding(
            "broken", "loopback", f"127.0.0.1 cannot be reached: {error.strerror or error}",
            "a firewall, or a container without a loopback interface: ip link set lo up; nft list ruleset",
        )  # fmt: skip


def _disk(profile: Profile, host: Host) -> Iterator[Finding]:
    home = Path(host.environment.get("HOME", "/tmp"))
    folder = Path(profile.script).parent
    if not os.access(home, os.W_OK) and not os.access(folder, os.W_OK):
        yield Finding(
            "broken", "home", f"neither {home} nor {folder} can be written; Unreal keeps settings and logs there",
            "give it a home: --set environment.HOME=/tmp/unreal (which must be there)",
        )  # fmt: skip
        return
    place = home if home.is_dir() else Path("/")
    free = shutil.disk_usage(place).free
    if free < _DISK_BYTES:
        yield Finding("note", "disk", f"{free / 2**20:.0f} MiB are free in {place}", "shader caches and logs need some")


_PROBES: tuple[Callable[[Profile, Host], Iterator[Finding]], ...] = (
    _script, _user, _arguments, _container, _devices, _vulkan, _nvidia, _loopback, _disk,
)  # fmt: skip
