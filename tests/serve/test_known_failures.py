"""What engines print when they fail, and that it is recognised: lines as they stand in public reports.

Silently wrong would be a pattern that no longer fits what engines print, so that nobody is advised, or one that fits
what healthy engines print, so that a wrong remedy is given, or an engine is not started again that would have run.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from torchmultiverse.serve import known_failures, recognise
from torchmultiverse.serve.failures import FailureScan, advice

EXCERPTS = {
    "root": ["Refusing to run with the root privileges.", "Refusing to run with root privileges"],
    "libvulkan": [
        "./Game: error while loading shared libraries: libvulkan.so.1: cannot open shared object file: No such file",
        "[2020.03.02-07.26.58:347][  0]LogLinux: Warning: MessageBox: Failed to load Vulkan Driver which is required "
        "to run the engine.",
    ],
    "shared-library": [
        "Game-Linux-Shipping: error while loading shared libraries: libXcursor.so.1: cannot open shared object file"
    ],
    "glibc": ["./Game: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by ./Game)"],
    "icd": [
        "[2021.04.19-14.57.38:265][  0]LogLinux: Warning: MessageBox: Cannot find a compatible Vulkan driver (ICD).",
        "Incompatible Vulkan driver found!: Cursors are not current",
        "[Error] [carb.graphics-vulkan.plugin] VkResult: ERROR_INCOMPATIBLE_DRIVER vkCreateInstance failed.",
    ],
    "no-device": [
        "Cannot find a compatible Vulkan device that supports SM6",
        "Vulkan failed to select physical device after passing profile checks.",
    ],
    "adapter": ["LogRHI: Warning: graphicsadapter=7 is out of range"],
    "device-memory": [
        "[2020.03.31-09.19.35:504][  0]LogVulkanRHI: Warning: Failed to allocate Device Memory, Requested=262144.00Kb "
        "MemTypeIndex=7",
        "with error VK_ERROR_OUT_OF_DEVICE_MEMORY",
        "Out of video memory trying to allocate a rendering resource",
    ],
    "host-memory": ["LogMemory: Warning: Ran out of memory allocating 4294967296 bytes with alignment 0"],
    "device-lost": [" with error VK_ERROR_DEVICE_LOST", "[ 812.1] NVRM: Xid (PCI:0000:65:00): 79, pid=1, name=Game"],
    "initialization": ["VulkanDevice.cpp:471 with error VK_ERROR_INITIALIZATION_FAILED"],
    "driver-mismatch": ["Failed to initialize NVML: Driver/library version mismatch"],
    "permission-dri": ["MESA: error: Opening /dev/dri/renderD128 failed: /dev/dri/renderD128: Permission denied"],
    "display": [
        "LogInit: Error: Could not initialize SDL: No available video device",
        "Authorization required, but no authorization protocol specified; unable to open display :0",
    ],
    "opengl": ["The engine no longer fallbacks to OpenGL4 which has been deprecated.: Message:"],
    "permission": [
        "./Game.sh: 6: /games/Linux/Game/Binaries/Linux/Game: Permission denied",
        "error: [Errno 13] Permission denied: '/games/Linux/Game.sh'",
    ],
    "exec-format": ["error: [Errno 8] Exec format error: '/games/Game.sh'", "bad interpreter: /bin/sh^M: no such file"],
    "content": [
        "Failed to open descriptor file ../../../Game/Game.uproject",
        "The global shader cache file '../../../Engine/GlobalShaderCache-SF_VULKAN_SM5.bin' is missing.",
    ],
    "read-only": ["mkdir: cannot create directory '/games/Linux/Game/Saved': Read-only file system"],
    "disk": ["LogFileManager: Error: write failed: No space left on device"],
    "plugin": ["LogPluginManager: Error: Plugin 'PixelStreaming' failed to load because module could not be found"],
    "encoder": ["LogAVEncoder: Error: NVENC initialization failed", "libnvidia-encode.so.1: cannot open shared object"],
    "signalling": [
        "LogPixelStreamingSS: Error: Streamer PixelStreaming failed to connect to ws://127.0.0.1:8888",
        "LogWebSockets: Warning: lws websocket connection refused",
    ],
    "ice": ["Failed to create Peer Connection. Msg=ICE server parse failed"],
    "port": ["error: [Errno 98] error while attempting to bind on address ('127.0.0.1', 8888): address already in use"],
    "crash-reporter": [
        "CommonUnixCrashHandler: Signal=11",
        "Engine crash handling finished; re-raising signal 11 for the default handler. Good bye.",
    ],
    "licence": ["You must accept the EULA to use this container."],
    "threads": ["pthread_create() failed: Resource temporarily unavailable", "Too many open files"],
    "shared-memory": ["Bus error (core dumped)"],
    "illegal-instruction": ["Illegal instruction (core dumped)"],
    "removed": [
        "./Game.sh: 6: /games/Linux/Game/Binaries/Linux/Game: not found",
        "error: [Errno 2] No such file or directory: '/games/Game.sh'",
    ],
}
HEALTHY = """\
4.26.2-0+++UE4+Release-4.26 522 0
Disabling core dumps.
sh: 1: xdg-user-dir: not found
LogHAL: Warning: Splash screen image not found.
LogSlate: New Slate User Created.  User Index 0, Is Virtual User: 0
LogInit: Using SDL_WINDOW_VULKAN
LogVulkanRHI: Display: - Found instance extension VK_EXT_debug_report
LogVulkanRHI: Display: * VK_KHR_get_memory_requirements2
LogVulkanRHI: Display: * VK_EXT_memory_budget
LogVulkanRHI: Display: Not using instance layers
LogVulkanRHI: Display: 3 Device Memory Heaps; Max memory allocations -1
LogVulkanRHI: Display:  0: Flags 0x1 Size 11811160064 (11264.00 MB) GPU
LogVulkanRHI: Display: Searching for physical devices
LogVulkanRHI: Display: Device 0: NVIDIA RTX A6000
LogRHI: Display: ShaderPipelineCache: Paused Batching. 1
LogLoad: (Engine Initialization) Total time: 6.18 seconds
LogHMD: Failed to initialize OpenVR with code 110
LogPluginManager: Mounting Engine plugin PixelStreaming
LogPixelStreaming: WebSocket connection made to signalling server ws://127.0.0.1:8888
LogPixelStreamingSS: Streamer PixelStreaming connected to signalling server ws://127.0.0.1:8888
LogAudioMixer: Warning: Failed to open any audio device, using the null device
LogStats: UGameplayStatics::OpenLevel took 0.1 s
dlopen failed trying to load: libsteam_api.so with error: libsteam_api.so: cannot open shared object file
LogDirectoryWatcher: inotify: No such file or directory
LogInit: Selected Device Profile: [Linux]""".splitlines()


def test_every_failure_has_an_excerpt() -> None:
    table = known_failures()
    assert len({one.id for one in table}) == len(table)
    assert set(EXCERPTS) == {one.id for one in table}
    assert len(table) >= 30


@pytest.mark.parametrize(("failure", "line"), [(name, line) for name, lines in EXCERPTS.items() for line in lines])
def test_an_excerpt_is_recognised(failure: str, line: str) -> None:
    found = recognise(line)
    assert found is not None
    assert found.id == failure


@pytest.mark.parametrize("line", HEALTHY)
def test_what_healthy_engines_print_is_no_failure(line: str) -> None:
    assert recognise(line) is None


def test_advice_is_plain() -> None:
    for one in known_failures():
        assert 10 < len(one.what) < 100, one.id
        assert 20 < len(one.advice) < 500, one.id
        assert not one.source or re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/issues/\d+", one.source)


def test_settings_that_advice_names_are_fields_of_profiles() -> None:
    from torchmultiverse.profiles import Profile

    text = json.dumps([one.advice for one in known_failures()])
    named = set(re.findall(r"--set (\w+)", text))
    assert {"gpus", "per_gpu", "arguments", "environment", "generation"} <= named
    assert named <= set(Profile.model_fields)


def test_each_failure_is_told_once_and_in_order() -> None:
    lines = ["CommonUnixCrashHandler: Signal=11", *HEALTHY, "VK_ERROR_DEVICE_LOST", "VK_ERROR_DEVICE_LOST"]
    scan = FailureScan(lines)
    assert [one.id for one in scan.found] == ["crash-reporter", "device-lost"]
    assert not scan.permanent
    assert advice(scan.found).count("\n→ ") == 2
    scan.feed("Refusing to run with the root privileges.")
    assert scan.permanent


def test_a_line_without_end_takes_no_time() -> None:
    """A pattern that backtracks would let one line of garbage stop the reader of an engine's output."""
    begun = time.process_time()
    for text in ("pixelstreaming " * 100_000, "graphicsadapter" * 100_000, "x" * 10**7, "nvenc" * 10**6, "\0" * 10**6):
        recognise(text)
    assert time.process_time() - begun < 20


def test_the_table_travels_with_the_package() -> None:
    from torchmultiverse import serve

    assert (Path(serve.__file__).parent / "failures.json").is_file()
