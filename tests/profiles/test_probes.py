"""What keeps a binary from starting, found before it is started; each on a machine that is made so.

Silently wrong would be a probe that finds nothing anywhere, or that calls a sound machine broken.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from torchmultiverse.profiles import Finding, Host, Profile, made, probe
from torchmultiverse.profiles import binary as binary_module
from torchmultiverse.profiles.binary import binaries

VULKAN = r"""
#include <stdint.h>
#include <string.h>
#include <stdlib.h>
int vkCreateInstance(const void* info, const void* allocator, void** instance) {
  if (((const int*)info)[0] != 1) return -3;
  if (getenv("FAKE_VULKAN_CRASH")) abort();
  *instance = (void*)1;
  return getenv("FAKE_VULKAN_REFUSES") ? -9 : 0;
}
int vkEnumeratePhysicalDevices(void* instance, uint32_t* count, void** devices) {
  const char* wanted = getenv("FAKE_VULKAN_DEVICES");
  *count = wanted ? (uint32_t)atoi(wanted) : 0;
  for (uint32_t k = 0; k < *count; k++) devices[k] = (void*)(uintptr_t)(k + 1);
  return 0;
}
void vkGetPhysicalDeviceProperties(void* device, char* properties) {
  uint32_t numbers[5] = {0, 0, 0, 0, getenv("FAKE_VULKAN_CPU") ? 4 : 2};
  memcpy(properties, numbers, sizeof numbers);
  strcpy(properties + 20, "NVIDIA Made Up");
  properties[34] = ' ';
  properties[35] = 'A' + (char)((uintptr_t)device - 1);
  properties[36] = 0;
}
"""


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Vulkan loader with as many cards as it is told, as a shared library in a folder."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("a C compiler is needed for a Vulkan loader that can be told what to say")
    folder = tmp_path_factory.mktemp("vulkan")
    (folder / "vulkan.c").write_text(VULKAN)
    library = folder / "libvulkan.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "vulkan.c"], check=True)
    return folder


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    """A folder like that of a packaged project, with this machine's ``true`` as the binary."""
    folder = tmp_path / "Linux" / "Game" / "Binaries" / "Linux"
    folder.mkdir(parents=True)
    shutil.copy(Path(shutil.which("true") or "/bin/true").resolve(), folder / "Game")
    (folder / "libextra.so").write_bytes(b"\x7fELF")
    script = tmp_path / "Linux" / "Game.sh"
    script.write_text('#!/bin/sh\n"$(dirname "$0")/Game/Binaries/Linux/Game" Game "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def host(tmp_path: Path, loader: Path) -> Host:
    """A sound machine with two cards."""
    root = tmp_path / "root"
    for name in ("dev/nvidia0", "dev/nvidia1", "dev/dri/renderD128", "usr/share/vulkan/icd.d/nvidia_icd.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LD_LIBRARY_PATH": str(loader), "FAKE_VULKAN_DEVICES": "2"
    }  # fmt: skip
    return Host(root=root, environment=environment, uid=1000)


def changed(host: Host, **variables: str) -> Host:
    return replace(host, environment={**host.environment, **variables})


def broken(profile: Profile, host: Host) -> dict[str, Finding]:
    return {one.subject: one for one in probe(profile, host) if one.state == "broken"}


def test_a_sound_machine_has_nothing_to_mend(packaged: Path, host: Host) -> None:
    found = probe(made(script=str(packaged), gpus=[0, 1]), host)
    assert [one for one in found if one.state != "ok" and one.subject not in ("disk", "shared memory")] == []
    said = {one.subject: one.detail for one in found}
    assert said["cards"] == "0: NVIDIA Made Up A (discrete); 1: NVIDIA Made Up B (discrete)"
    assert said["device files"] == "/dev/dri/renderD128, /dev/nvidia0, /dev/nvidia1"
    assert "nvidia_icd.json" in said["Vulkan driver"]
    assert "Binaries/Linux/Game" in said["binary"]
    assert {"script", "libraries", "user", "loopback"} <= set(said)


def test_a_script_that_is_gone_or_cannot_be_executed(packaged: Path, host: Host) -> None:
    packaged.chmod(0o644)
    assert "chmod +x" in broken(made(script=str(packaged)), host)["script"].remedy
    packaged.unlink()
    assert "set script=" in broken(made(script=str(packaged)), host)["script"].remedy


def test_windows_line_ends(packaged: Path, host: Host) -> None:
    packaged.write_bytes(b"#!/bin/sh\r\nexit\r\n")
    packaged.chmod(0o755)
    assert "sed -i" in broken(made(script=str(packaged)), host)["script"].remedy


def test_a_binary_without_its_execute_bit(packaged: Path, host: Host) -> None:
    (packaged.parent / "Game/Binaries/Linux/Game").chmod(0o644)
    assert "chmod +x" in broken(made(script=str(packaged)), host)["binary"].remedy


def test_a_binary_for_another_processor(packaged: Path, host: Host) -> None:
    binary = packaged.parent / "Game/Binaries/Linux/Game"
    data = bytearray(binary.read_bytes())
    struct.pack_into("<H", data, 18, 0xB7)
    binary.write_bytes(bytes(data))
    found = broken(made(script=str(packaged)), replace(host, machine="x86_64"))["binary"]
    assert "is for aarch64, and this machine is x86_64" in found.detail
    assert binaries(packaged)[0].machine == "aarch64"


def test_missing_libraries_are_named_with_their_packages(packaged: Path, host: Host, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None
    packages = json.loads(Path(binary_module.__file__).with_name("libraries.json").read_text())
    there = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    known = next(name for name in packages if f"{name} " not in there)
    (tmp_path / "x.c").write_text("int x(void) { return 0; }\n")
    (tmp_path / "main.c").write_text("int x(void); int y(void); int main(void) { return x() + y(); }\n")
    (tmp_path / "y.c").write_text("int y(void) { return 0; }\n")
    for name, source in ((known, "x.c"), ("libmade-up.so.9", "y.c")):
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", name, source]
        subprocess.run(command, cwd=tmp_path, check=True)
    binary = packaged.parent / "Game/Binaries/Linux/Game"
    made_of = ["main.c", f"./{known}", "./libmade-up.so.9"]
    subprocess.run([compiler, "-o", str(binary), *made_of], cwd=tmp_path, check=True)
    found = broken(made(script=str(packaged)), host)["libraries"]
    assert found.detail == f"missing: {', '.join(sorted([known, 'libmade-up.so.9']))}"
    assert f"apt-get install {packages[known]}" in found.remedy
    assert "what brings libmade-up.so.9" in found.remedy


def test_root(packaged: Path, host: Host) -> None:
    assert "runAsUser" in broken(made(script=str(packaged)), replace(host, uid=0))["user"].remedy


@pytest.mark.parametrize("argument", ["-windowed", "-FullScreen", "-opengl4", "-nullrhi"])
def test_arguments_that_need_a_screen(packaged: Path, host: Host, argument: str) -> None:
    profile = made(script=str(packaged), arguments=[argument])
    assert argument in broken(profile, host)["arguments"].detail
    if argument != "-nullrhi":
        assert "arguments" not in broken(profile, changed(host, DISPLAY=":0"))


def test_variables_that_mislead(packaged: Path, host: Host) -> None:
    profile = made(script=str(packaged))
    assert "SDL_VIDEODRIVER" in broken(profile, changed(host, SDL_VIDEODRIVER="x11"))
    found = {one.subject: one for one in probe(profile, changed(host, CUDA_VISIBLE_DEVICES="1"))}
    assert "does not heed it" in found["CUDA_VISIBLE_DEVICES"].detail


@pytest.mark.parametrize(
    ("given", "wrong"), [("", True), ("compute,utility", True), ("all", False), ("compute, graphics", False)]
)
def test_a_container_without_graphics(packaged: Path, host: Host, given: str, wrong: bool) -> None:
    (host.root / ".dockerenv").touch()
    found = broken(made(script=str(packaged)), changed(host, NVIDIA_DRIVER_CAPABILITIES=given))
    assert ("container" in found) == wrong
    if wrong:
        assert "NVIDIA_DRIVER_CAPABILITIES=all" in found["container"].remedy


def test_no_card_at_all(packaged: Path, host: Host) -> None:
    shutil.rmtree(host.root / "dev")
    found = {one.subject: one for one in probe(made(script=str(packaged)), host)}
    assert "--gpus all" in found["device files"].remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_device_files_of_others(packaged: Path, host: Host) -> None:
    for path in (host.root / "dev").rglob("*"):
        if path.is_file():
            path.chmod(0)
    assert "usermod -aG render,video" in broken(made(script=str(packaged)), host)["device files"].remedy


def test_no_driver_or_one_that_is_not_there(packaged: Path, host: Host) -> None:
    profile = made(script=str(packaged))
    shutil.rmtree(host.root / "usr")
    assert "mesa-vulkan-drivers" in broken(profile, host)["Vulkan driver"].remedy
    found = broken(profile, changed(host, VK_ICD_FILENAMES="/none/icd.json"))["Vulkan driver"]
    assert "/none/icd.json is not there" in found.detail


def test_no_loader(packaged: Path, host: Host, tmp_path: Path) -> None:
    (tmp_path / "libvulkan.so.1").write_text("no library")
    found = broken(made(script=str(packaged)), changed(host, LD_LIBRARY_PATH=str(tmp_path)))["Vulkan"]
    assert "libvulkan1" in found.remedy


def test_a_loader_without_cards(packaged: Path, host: Host) -> None:
    profile = made(script=str(packaged))
    assert "no graphics card" in broken(profile, changed(host, FAKE_VULKAN_DEVICES="0"))["Vulkan"].detail
    assert "VkResult -9" in broken(profile, changed(host, FAKE_VULKAN_REFUSES="1"))["Vulkan"].detail


def test_a_driver_that_crashes_ends_only_the_probe(packaged: Path, host: Host) -> None:
    found = broken(made(script=str(packaged)), changed(host, FAKE_VULKAN_CRASH="1"))["Vulkan"]
    assert "ended with code -6" in found.detail


def test_a_card_that_is_out_of_range(packaged: Path, host: Host) -> None:
    found = broken(made(script=str(packaged), gpus=[0, 2, 5]), host)["cards"]
    assert "gpus names 2, 5" in found.detail
    assert "--set gpus=0,1" in found.remedy


def test_a_software_renderer_is_noted(packaged: Path, host: Host) -> None:
    found = {one.subject: one for one in probe(made(script=str(packaged)), changed(host, FAKE_VULKAN_CPU="1"))}
    assert (found["cards"].state, "software renderer" in found["cards"].remedy) == ("note", True)


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        ("echo '0, NVIDIA H100, 70000, 81559, 550.54'", "ok", "70000 of 81559 MiB free"),
        ("echo '0, NVIDIA H100, 100, 81559, 550.54'", "note", "100 of 81559 MiB free"),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18", "broken", "mismatch"),
    ],
)
def test_what_the_nvidia_driver_says(
    packaged: Path, host: Host, tmp_path: Path, script: str, state: str, said: str
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "nvidia-smi").chmod(0o755)
    found = [
        one for one in probe(made(script=str(packaged), per_gpu=2), changed(host, PATH=f"{tools}:/usr/bin:/bin"))
        if one.subject == "NVIDIA"
    ]  # fmt: skip
    assert [one.state for one in found] == [state]
    assert said in found[0].detail


def test_the_script_may_be_the_binary(tmp_path: Path) -> None:
    path = tmp_path / "Game"
    shutil.copy(Path(shutil.which("true") or "/bin/true").resolve(), path)
    assert [one.path for one in binaries(path)] == [path]
