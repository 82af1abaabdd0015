"""Asks the Vulkan loader which graphics cards there are, in the order in which ``-graphicsadapter`` counts them.

Started by path in a process of its own, because a broken driver ends the process that loads it: standard library only.
Prints one JSON object: ``loader`` (why it cannot be loaded, or empty), ``result`` (VkResult of making an instance), and
``devices`` (name and type of each).
"""

import ctypes
import json
import sys

TYPES = ("other", "integrated", "discrete", "virtual", "cpu")
"""VkPhysicalDeviceType."""
_MOST = 64
_NAME = 20
"""Offset of deviceName in VkPhysicalDeviceProperties, behind five numbers of four bytes."""


class _CreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo."""

    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p), ("layer_count", ctypes.c_uint32), ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32), ("extensions", ctypes.c_void_p),
    )  # fmt: skip


def devices() -> dict[str, object]:
    """Return what the loader says."""
    try:
        vulkan = ctypes.CDLL("libvulkan.so.1")
    except OSError as error:
        return {"loader": str(error), "result": 0, "devices": []}
    instance = ctypes.c_void_p()
    info = _CreateInfo(type=1)
    result = vulkan.vkCreateInstance(ctypes.byref(info), None, ctypes.byref(instance))
    if result != 0:
        return {"loader": "", "result": result, "devices": []}
    count = ctypes.c_uint32(_MOST)
    handles = (ctypes.c_void_p * _MOST)()
    result = vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    found = []
    for handle in handles[: count.value] if result >= 0 else ():
        properties = ctypes.create_string_buffer(4096)
        vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), properties)
        kind = int.from_bytes(properties.raw[16:20], sys.byteorder)
        name = properties.raw[_NAME : _NAME + 256].partition(b"\0")[0].decode(errors="replace")
        found.append({"name": name, "type": TYPES[kind] if kind < len(TYPES) else "other"})
    return {"loader": "", "result": result, "devices": found}


if __name__ == "__main__":
    print(json.dumps(devices()))
