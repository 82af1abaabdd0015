"""Unreal's command line: which server, which size, which graphics card, which name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

VERSIONS = ("5.0", "5.1", "5.2", "5.3", "5.4", "5.5", "5.6", "5.7")
_SIDES = (16, 4096)


class Unusable(Exception):
    """What was asked for cannot be; the text says what would be right."""


@dataclass(frozen=True)
class CommandLine:
    """What this program heeds of its arguments.

    Attributes:
        url: WebSocket address of the signalling server's streamer port.
        size: width and height in pixels.
        adapter: number of the graphics card, or ``None``.
        streamer_id: name to register under, or ``None``: the engine's own.
    """

    url: str
    size: tuple[int, int]
    adapter: int | None
    streamer_id: str | None


def version_number(version: str) -> tuple[int, int]:
    """Return ``"5.4"`` as ``(5, 4)``.

    Raises:
        Unusable: none of `VERSIONS`.
    """
    if version not in VERSIONS:
        raise Unusable(f"unreal = {version!r}; {', '.join(VERSIONS)} are right")
    major, minor = version.split(".")
    return int(major), int(minor)


def read(arguments: Sequence[str], version: str = "5.5") -> CommandLine:
    """Read Unreal's arguments: ``-Name`` or ``-Name=value``, whatever the case; those that are not known are ignored.

    Each version heeds its own spelling of the address only: 5.0 ``-PixelStreamingIP`` and ``-PixelStreamingPort``, up
    to 5.4 ``-PixelStreamingURL``, later ``-PixelStreamingConnectionURL``.

    Raises:
        Unusable: no address, or a value that cannot be read.
    """
    given = dict(argument.removeprefix("-").partition("=")[::2] for argument in arguments if argument.startswith("-"))
    named = {name.lower(): value.strip('"') for name, value in given.items()}
    width, height = (_number(named, name, *_SIDES) for name in ("ResX", "ResY"))
    return CommandLine(
        url=_address(named, version_number(version)),
        size=(width or 1280, height or 720),
        adapter=_number(named, "graphicsadapter", 0, 1024),
        streamer_id=named.get("pixelstreamingid") or None,
    )


def _address(named: dict[str, str], version: tuple[int, int]) -> str:
    if version == (5, 0):
        option = "PixelStreamingIP and -PixelStreamingPort"
        host, port = named.get("pixelstreamingip", ""), named.get("pixelstreamingport", "8888")
        url = f"ws://{host}:{port}" if host else ""
    else:
        option = "PixelStreamingURL" if version < (5, 5) else "PixelStreamingConnectionURL"
        url = named.get(option.lower(), "")
    if not url:
        raise Unusable(f"no address of a signalling server; -{option} is right in this version")
    if not re.fullmatch(r"wss?://[^\s/]+(/\S*)?", url):
        raise Unusable(f"-{option} is {url!r}; ws://host:port is right")
    return url


def _number(named: dict[str, str], name: str, low: int, high: int) -> int | None:
    text = named.get(name.lower())
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise Unusable(f"-{name} is {text!r}; a number from {low} to {high} is right")
    return int(text)
