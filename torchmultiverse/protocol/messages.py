"""The messages of the bridge dialect, typed once for both ends.

Every message carries ``tmv``, the version of the dialect, and ``id``, the request's. Fields that a reader does not know
are ignored, so that either end may be newer; fields that are ``None`` are not sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
)

from torchmultiverse.errors import ProtocolError, nearest
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import canonical_json

DIALECT = "tmv"
VERSION: Literal[1] = 1
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_REASON = 2000
MOST_DEPTH = 64
"""Arrays and objects in each other in a message, itself included; a text that has more is none of this dialect."""


class Message(BaseModel):
    """What all messages have in common."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    tmv: Literal[1] = VERSION
    id: Annotated[str, Field(pattern=rf"^{_ID.pattern}$", description="up to 64 letters, digits, '-' and '_'")]

    def encode(self) -> str:
        """Return the message's text: canonical JSON."""
        fields = ((name, getattr(self, name)) for name in type(self).model_fields)
        return canonical_json({name: value for name, value in fields if value is not None})


class Hello(Message):
    """The question whether the other side speaks this dialect."""

    do: Literal["hello"] = "hello"


class CatalogueRequest(Message):
    """The question for the catalogue; it is answered by a file ``<id>.catalogue.json``, then `Done`."""

    do: Literal["catalogue"] = "catalogue"


class PixelsRequest(Message):
    """The question for another way of the files of pictures, one of those that `HelloDone` offered.

    It is answered by `PixelsDone`. The asker then connects there and says that it is ready, and from then on the files
    of its pictures come that way, as long as it stays connected; see `torchmultiverse.protocol.pixels`.
    """

    do: Literal["pixels"] = "pixels"
    by: Annotated[Literal["shared", "websocket"], Field(description="shared or websocket")]


class RenderRequest(Message):
    """The request for one picture.

    Attributes:
        scene: levels by wire name.
        size: width and height in pixels.
        passes: names, each once.
        format: of the rgb pass.
        raw: whether all passes may come without compression (see `torchmultiverse.engines.codec`); an engine that does
            not know this field sends them as ``format`` says.
        quiet: whether `Accepted` and `Settled` may be left out, which cost as much as `RenderDone` does.
        seed: the dataset's.
        samples: per pixel; ``None``: the engine's own number.
    """

    do: Literal["render"] = "render"
    scene: Annotated[dict[str, Any], Field(description="an object of levels by wire name")]
    size: Annotated[
        list[StrictInt], Field(min_length=2, max_length=2, description="[width, height], two integers in pixels,")
    ] = [512, 512]
    passes: Annotated[list[StrictStr], Field(description="a list of names, each once,")] = ["rgb"]
    format: Annotated[Literal["png", "jpeg"], Field(description="png or jpeg")] = "png"
    raw: Annotated[StrictBool | None, Field(description="true or false")] = None
    quiet: Annotated[StrictBool | None, Field(description="true or false")] = None
    seed: Annotated[StrictInt, Field(description="an integer")] = 0
    samples: Annotated[StrictInt | None, Field(ge=1, le=65536, description="an integer from 1 to 65536")] = None

    @field_validator("passes")
    @classmethod
    def _each_once(cls, passes: list[str]) -> list[str]:
        if len(set(passes)) != len(passes):
            raise ValueError("a name stands twice")
        return passes


Request = Hello | CatalogueRequest | PixelsRequest | RenderRequest
REQUESTS: dict[str, type[Request]] = {
    "hello": Hello, "catalogue": CatalogueRequest, "pixels": PixelsRequest, "render": RenderRequest,
}  # fmt: skip
_EVERYWHERE = ("hello", "catalogue", "render")
"""What every engine answers; ``pixels`` is asked only where it was offered."""


def _numbers(value: object) -> dict[str, int | float]:
    """Return what is a number: an engine may report more."""
    found = value.items() if isinstance(value, dict) else ()
    return {str(k): v for k, v in found if isinstance(v, int | float) and not isinstance(v, bool)}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: object) -> list[str] | None:
    """Return what is a name: a newer end may offer more."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else None


def _reason(value: object) -> str:
    return "no reason given" if value is None else str(value)[:_MOST_REASON]


class Accepted(Message):
    """The request waits for its turn."""

    state: Literal["accepted"] = "accepted"


class Settled(Message):
    """The scene is applied and the picture final."""

    state: Literal["settled"] = "settled"
    settle: Annotated[dict[str, Any], BeforeValidator(_object)] = {}


class Failed(Message):
    """There will be no picture.

    Attributes:
        reason: the place, the value, and what would be right; cut after 2000 characters.
        again: whether it may be asked for again.
    """

    state: Literal["failed"] = "failed"
    reason: Annotated[str, BeforeValidator(_reason)] = "no reason given"
    again: Annotated[bool | None, BeforeValidator(lambda value: value if isinstance(value, bool) else None)] = None


class Done(Message):
    """A question is answered."""

    state: Literal["done"] = "done"


class HelloDone(Done):
    """The other side speaks this dialect, and says which engine it has.

    Attributes:
        dialect, engine, version, fingerprint: see `torchmultiverse.engines.Catalogue`.
        pixels: ways besides the data channel that it offers for files, see `PixelsRequest`.
    """

    dialect: str = DIALECT
    engine: str = ""
    version: str = ""
    fingerprint: str = ""
    pixels: Annotated[list[str] | None, BeforeValidator(_names)] = None


class PixelsDone(Done):
    """Where another way of files begins.

    Attributes:
        place: name of the socket or of the room, 32 hexadecimal digits.
        key: what is to be said there first, 32 hexadecimal digits; nobody else knows it.
    """

    place: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits")]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 hexadecimal digits")]


class RenderDone(Done):
    """All passes of a picture were sent.

    Attributes:
        scene_id: the scene that the engine applied.
        sha256: of the file of each pass, hex.
        settle: the report that the picture was final.
        timings: milliseconds by phase.
        engine: its fingerprint.
        info: further facts.
        by: which way the files come that are not sent over the data channel: ``shared`` or ``websocket``. By
            ``websocket`` they may come later than this.
        slots: ``[offset, bytes]`` of each of them in the shared memory.
    """

    scene_id: Annotated[str | None, Field(description="the id of the scene that was applied")] = None
    sha256: Annotated[dict[str, str] | None, Field(description="an object of hashes by pass")] = None
    settle: Annotated[dict[str, Any] | None, Field(description="an object")] = None
    timings: Annotated[dict[str, int | float], BeforeValidator(_numbers)] = {}
    engine: Annotated[str, BeforeValidator(str)] = ""
    info: Annotated[dict[str, Any], BeforeValidator(_object)] = {}
    by: Annotated[Literal["shared", "websocket"] | None, Field(description="shared or websocket")] = None
    slots: Annotated[
        dict[str, tuple[StrictInt, StrictInt]] | None, Field(description="an object of [offset, bytes] by pass")
    ] = None


M = TypeVar("M", bound=Message)


def parse(text: str) -> dict[str, Any] | None:
    """Return a message of this dialect, or ``None`` for any other text.

    Raises:
        ProtocolError: a message of this dialect that nobody could answer: of another version, or without a plain id.
    """
    try:
        message = read_json(text)
    except ValueError:
        return None
    if not isinstance(message, dict) or "tmv" not in message or too_deep(message):
        return None
    if message["tmv"] != VERSION:
        raise ProtocolError(f"version {str(message['tmv'])[:20]!r} of the tmv dialect; {VERSION} is spoken here")
    if not isinstance(message.get("id"), str) or not _ID.fullmatch(message["id"]):
        raise ProtocolError(f"id is {str(message.get('id'))[:80]!r}; up to 64 letters, digits, '-' and '_' are right")
    return message


def too_deep(value: object) -> bool:
    """Tell whether a JSON value has more than `MOST_DEPTH` arrays and objects in each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_DEPTH):
        if not level:
            return False
        inside = (item for one in level for item in (one.values() if isinstance(one, dict) else one))
        level = [item for item in inside if isinstance(item, dict | list)]
    return bool(level)


def read(kind: type[M], message: Mapping[str, Any]) -> M:
    """Return a message as one of a kind.

    Raises:
        ProtocolError: names the place, the value, and what would be right.
    """
    try:
        return kind.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        field = kind.model_fields.get(name)
        right = (field.description if field else None) or first["msg"]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing" and len(first["loc"]) == 1:
            raise ProtocolError(f"there is no '{name}'; {right} is right") from None
        raise ProtocolError(f"{place} is {str(first['input'])[:200]!r}; {right} is right") from None


def read_request(message: Mapping[str, Any]) -> Request:
    """Return the request that a message makes.

    Raises:
        ProtocolError: names the place, the value, and what would be right.
    """
    what = message.get("do")
    if not isinstance(what, str) or what not in REQUESTS:
        hint = nearest(what, _EVERYWHERE) if isinstance(what, str) else ""
        raise ProtocolError(f"do is {str(what)[:80]!r}; {', '.join(_EVERYWHERE)} are known here.{hint}")
    return read(REQUESTS[what], message)
