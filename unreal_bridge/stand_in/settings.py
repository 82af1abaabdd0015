"""How the stand-in behaves: one environment variable of ``name=value`` pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from stand_in.command_line import Unusable, version_number

VARIABLE = "TMV_STAND_IN"


@dataclass(frozen=True)
class Settings:
    """Behaviour; faults come at every N-th picture, 0: never.

    Attributes:
        unreal: the version whose signalling is spoken and whose address is heeded.
        frame_ms: milliseconds per frame of the engine.
        load: how much a change of scene loads; 0: nothing, 1: a few frames' worth.
        history: frames over which earlier pictures show through; 0: none.
        quiet: frames without loading that the bridge waits for.
        pad_kb: kilobytes of noise that each PNG of colours carries, for files as large as a real picture's.
        video_fps: frames of video a second for players that take video.
        adapters: graphics cards that this machine pretends to have; 0: any.
        die: the process ends in the middle of the answer.
        hang: no frame is made any more, while the connection stands.
        die_at_start: the process ends at once, with this exit code.
        stale: the files sent are those of the picture before.
        wrong_scene: a change is lost, and another scene than the one asked for is shown.
        wrong_id: the answer says that it is of the scene before.
        double: the answer is sent twice.
        cut: the first file ends in the middle.
        silent: no answer comes.
        slow: the answer comes ``slow_ms`` later.
        slow_ms: milliseconds.
        unsettled: a texture never comes.
        settle_ms: milliseconds after which the bridge gives up waiting.
    """

    unreal: str = "5.5"
    frame_ms: float = 5.0
    load: float = 1.0
    history: int = 8
    quiet: int = 10
    pad_kb: int = 0
    video_fps: float = 15.0
    adapters: int = 0
    die: int = 0
    hang: int = 0
    die_at_start: int = 0
    stale: int = 0
    wrong_scene: int = 0
    wrong_id: int = 0
    double: int = 0
    cut: int = 0
    silent: int = 0
    slow: int = 0
    slow_ms: float = 300.0
    unsettled: int = 0
    settle_ms: float = 5000.0


FAULTS = ("die", "hang", "stale", "wrong_scene", "wrong_id", "double", "cut", "silent", "slow", "unsettled")


def read(environment: Mapping[str, str]) -> Settings:
    """Return the settings of the variable ``TMV_STAND_IN``, such as ``frame_ms=2 die=100``.

    Raises:
        Unusable: a name or a value that is not right.
    """
    kinds = get_type_hints(Settings)
    names = [field.name for field in fields(Settings)]
    given: dict[str, Any] = {}
    for pair in environment.get(VARIABLE, "").replace(",", " ").split():
        name, _, text = pair.partition("=")
        if name not in kinds:
            raise Unusable(f"{VARIABLE}: {name!r} is unknown; there are {', '.join(names)}")
        try:
            given[name] = kinds[name](text)
        except ValueError:
            raise Unusable(f"{VARIABLE}: {name} is {text!r}; a number is right") from None
        if kinds[name] is not str and not 0 <= given[name] <= 1e6:
            raise Unusable(f"{VARIABLE}: {name} is {text}; 0 to 1000000 is right")
    settings = Settings(**given)
    version_number(settings.unreal)
    if not settings.frame_ms:
        raise Unusable(f"{VARIABLE}: frame_ms is 0; more than 0 is right")
    return settings
