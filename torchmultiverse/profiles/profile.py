"""A launch profile: a packaged binary and how it is started, as a record with one table of fields.

The fields' descriptions are what ``engine show`` prints and what errors quote; ``--set NAME=VALUE`` takes each of them
as text, see `changed`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from torchmultiverse.documents import Document
from torchmultiverse.errors import SpecError, nearest, shortened
from torchmultiverse.serve import LOG_BYTES, LOG_FILES, RESTARTS

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = ("-pixelstreaming", "-res", "-graphicsadapter", "-forceres", "-renderoffscreen")
"""Beginnings of arguments that the launcher writes itself."""
_Text = Annotated[str, Field(max_length=4096)]
MOST_INSTANCES = 256


class Profile(Document):
    """How one packaged binary is started, and how patiently it is asked.

    Attributes:
        script: absolute path of the start script, ``…/Linux/Game.sh``.
        gpus: graphics adapters; none: the binary chooses one.
        per_gpu: instances on each.
        size: width and height in pixels that it starts with.
        generation: of its signalling.
        dialect: of its bridge.
        arguments: further arguments.
        environment: further variables.
        start_timeout: seconds until it must be connected to its signalling server.
        hello_timeout: seconds until it must answer ``hello``, or it counts as one of the ``pug`` dialect.
        timeout: seconds without a sign of life about a picture.
        retries: of a picture.
        restarts: in a row.
        check_picture: whether each instance renders one picture before it is used.
        log_bytes: of one log file.
        log_files: of an instance.
        about: what it is.
    """

    file = "engine.json"
    version = 1

    script: _Text = Field(min_length=1, description="absolute path of the start script")
    gpus: tuple[Annotated[int, Field(ge=0, le=255)], ...] = Field(
        (), max_length=64, description="graphics cards by number (-graphicsadapter); empty: the binary chooses"
    )
    per_gpu: int = Field(1, ge=1, le=64, description="instances on each card")
    size: tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]] = Field(
        (512, 512), description="width and height in pixels that the binary starts with"
    )
    generation: Literal["modern", "legacy"] = Field("modern", description="of signalling: modern, or legacy (UE 5.0)")
    dialect: Literal["auto", "tmv", "pug"] = Field(
        "auto", description="of the bridge: tmv, pug, or auto, which asks and takes pug where nobody answers"
    )
    arguments: tuple[_Text, ...] = Field((), max_length=256, description="further arguments of the binary")
    environment: dict[str, _Text] = Field({}, max_length=256, description="further variables of its environment")
    start_timeout: float = Field(
        300.0, ge=1, le=86400, description="seconds until it must be connected to its signalling server"
    )
    hello_timeout: float = Field(5.0, ge=0.1, le=3600, description="seconds until it must answer hello, else it is pug")
    timeout: float = Field(120.0, ge=0.1, le=86400, description="seconds without a sign of life about a picture")
    retries: int = Field(3, ge=0, le=100, description="how often a picture is asked for again")
    restarts: int = Field(RESTARTS, ge=0, le=1000, description="how often in a row one that dies is started again")
    check_picture: bool = Field(False, description="render a picture before use; refuse one that is of one colour")
    log_bytes: int = Field(LOG_BYTES, ge=4096, le=2**30, description="bytes of a log file before it is turned over")
    log_files: int = Field(LOG_FILES, ge=1, le=100, description="log files of an instance")
    about: str = Field("", max_length=200, description="what it is, in one line")

    @model_validator(mode="after")
    def _sound(self) -> Profile:
        if not os.path.isabs(self.script):
            raise ValueError(f"script: {self.script!r} is no absolute path")
        if not self.script.isprintable() or not self.about.isprintable():
            raise ValueError("script and about: there are characters that cannot be printed")
        if len(set(self.gpus)) != len(self.gpus):
            raise ValueError(f"gpus: {', '.join(map(str, self.gpus))} names a card twice; per_gpu is how many on each")
        if self.instances > MOST_INSTANCES:
            raise ValueError(f"gpus × per_gpu is {self.instances}; {MOST_INSTANCES} at most")
        for argument in self.arguments:
            if argument.lower().startswith(_OURS):
                raise ValueError(f"arguments: {argument!r} is set by the launcher; see size, gpus and generation")
            if not argument.isprintable():
                raise ValueError(f"arguments: {argument!r} has characters that cannot be printed")
        for name, value in self.environment.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"environment: {name!r} is no name of a variable; letters, digits and _ are")
            if not value.isprintable():
                raise ValueError(f"environment: the value of {name} has characters that cannot be printed")
        return self

    @property
    def instances(self) -> int:
        """How many run side by side."""
        return max(len(self.gpus), 1) * self.per_gpu

    @property
    def client(self) -> dict[str, Any]:
        """The fields of `torchmultiverse.engines.client.ClientOptions` that the profile says."""
        return {
            "dialect": self.dialect, "hello_timeout": self.hello_timeout, "timeout": self.timeout,
            "retries": self.retries,
        }  # fmt: skip

    def adapter(self, instance: int) -> int | None:
        """Return the card of an instance; neighbours are on different cards, so that a few use all of them."""
        return self.gpus[instance % len(self.gpus)] if self.gpus else None


def script_problem(script: str) -> str | None:
    """Return why a start script cannot be started, as the end of a sentence that begins with it; None where it can."""
    if not os.path.exists(script):
        return "is not there"
    if not os.path.isfile(script):
        return "is a folder" if os.path.isdir(script) else "is no file"
    if not os.access(script, os.X_OK):
        return f"is not executable; run: chmod +x {shlex.quote(script)}"
    return None


_LISTS = {"gpus": ",", "size": "x"}
_EXAMPLES = {"gpus": "0,1", "size": "640x480", "arguments": "'-unattended -NoSplash'", "environment": "HOME=/tmp"}


def changed(profile: Profile, settings: Iterable[str]) -> Profile:
    """Return a profile with some fields changed, each given as ``NAME=VALUE``.

    Lists of numbers are ``gpus=0,1`` and ``size=640x480``; ``arguments`` are words as in a shell; one variable is
    ``environment.NAME=VALUE``, and without a value it is taken away; ``VALUE`` of any field may be empty for its
    default.

    Raises:
        SpecError: an unknown field (says the nearest), or a value that cannot be.
    """
    data: dict[str, Any] = profile.model_dump()
    for setting in settings:
        name, given, text = setting.partition("=")
        field, _, variable = name.partition(".")
        if not given or name.endswith(".") or (variable and field != "environment"):
            raise SpecError(f"{setting!r}: write NAME=VALUE, such as per_gpu=2 or environment.HOME=/tmp")
        if field not in Profile.model_fields:
            raise SpecError(f"{field!r} is no field of a launch profile.{nearest(field, Profile.model_fields)}")
        if variable:
            data[field] = {key: value for key, value in data[field].items() if key != variable}
            data[field] |= {variable: text} if text else {}
        else:
            data[field] = _value(field, text)
    return made(**data)


def made(**data: Any) -> Profile:
    """Return a profile.

    Raises:
        SpecError: a value cannot be; names its field.
    """
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        help_ = Profile.model_fields[str(first["loc"][0])].description if place else ""
        value = f" = {shortened(first['input'])}" if place else ""
        raise SpecError(f"{place}{value}: {what} ({help_})" if place else what) from None


def as_text(profile: Profile, field: str) -> str:
    """Return a field as ``--set`` takes it."""
    value = getattr(profile, field)
    if field == "arguments":
        return shlex.join(value)
    if field == "environment":
        return shlex.join(f"{key}={text}" for key, text in value.items())
    if field in _LISTS:
        return _LISTS[field].join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _value(field: str, text: str) -> Any:
    info = Profile.model_fields[field]
    if not text and not info.is_required():
        return info.get_default()
    if not text:
        raise SpecError(f"{field} cannot be empty: {info.description}")
    try:
        if field == "arguments":
            return shlex.split(text)
        if field == "environment":
            return dict(part.split("=", 1) for part in shlex.split(text))
        if field in _LISTS:
            parts = text.lower().replace(" ", "").split(_LISTS[field])
            return [int(part) for part in (parts * 2 if field == "size" and len(parts) == 1 else parts)]
        kind: Any = info.annotation
        return TypeAdapter(kind).validate_python(os.path.abspath(text) if field == "script" else text)
    except ValueError as error:
        quote = " (a quotation mark is not closed)" if "quotation" in str(error) else ""
        example = f", such as {_EXAMPLES[field]}" if field in _EXAMPLES else ""
        raise SpecError(f"{field} = {text!r}: {info.description}{example}{quote}") from None
