"""The data channel's messages, as Pixel Streaming writes them: one byte of id, texts in UTF-16, little-endian."""

from __future__ import annotations

import json

# The part that Unreal itself plays; the ids are those that its front ends have as defaults.
TO_STREAMER = {
    "IFrameRequest": 0, "RequestQualityControl": 1, "FpsRequest": 2, "AverageBitrateRequest": 3, "StartStreaming": 4,
    "StopStreaming": 5, "LatencyTest": 6, "RequestInitialSettings": 7, "TestEcho": 8, "UIInteraction": 50,
    "Command": 51,
}  # fmt: skip
FROM_STREAMER = {
    "QualityControlOwnership": 0, "Response": 1, "Command": 2, "FreezeFrame": 3, "UnfreezeFrame": 4,
    "VideoEncoderAvgQP": 5, "LatencyTest": 6, "InitialSettings": 7, "FileExtension": 8, "FileMimeType": 9,
    "FileContents": 10, "TestEcho": 11, "InputControlOwnership": 12, "GamepadResponse": 13, "Protocol": 255,
}  # fmt: skip
_WITH_TEXT = {"UIInteraction", "Command", "LatencyTest", "TestEcho", "Response", "InitialSettings"}
_NAMES = {number: name for name, number in TO_STREAMER.items()}


def text_message(name: str, text: str) -> bytes:
    """Return a message with a text, to a player."""
    return bytes([FROM_STREAMER[name]]) + text.encode("utf-16-le", "surrogatepass")


def greeting(version: tuple[int, int]) -> list[bytes]:
    """Return what a player is told first: the ids, since 5.1, and the settings."""
    settings = {
        "PixelStreaming": {"AllowPixelStreamingCommands": False, "DisableLatencyTest": False},
        "Encoder": {"TargetBitrate": -1, "MaxBitrate": 20000000, "MinQP": -1, "MaxQP": 51},
        "WebRTC": {"FPS": 60, "MinBitrate": 100000, "MaxBitrate": 100000000},
    }
    messages = [text_message("InitialSettings", json.dumps(settings))]
    if version >= (5, 1):
        for direction, ids in enumerate((TO_STREAMER, FROM_STREAMER)):
            table: dict[str, object] = {"Direction": direction}
            for name, number in ids.items():
                table[name] = {"id": number, "structure": ["string"] if name in _WITH_TEXT else []}
            messages.append(text_message("Protocol", json.dumps(table)))
    return messages


def read(data: bytes) -> tuple[str, str]:
    """Return name and text of a player's message; ``("", "")`` for what cannot be read."""
    name = _NAMES.get(data[0], "") if data else ""
    if name not in _WITH_TEXT or len(data) < 3:
        return name, ""
    units = int.from_bytes(data[1:3], "little")
    if len(data) != 3 + 2 * units:
        return "", ""
    return name, data[3:].decode("utf-16-le", "surrogatepass")
