"""What the page asks and what it is told: JSON messages, whose shapes are here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from torchmultiverse.documents import EncodedImage, Record
from torchmultiverse.explore.controls import Control
from torchmultiverse.explore.readers import Reading
from torchmultiverse.scenes import Value

Factors = Annotated[dict[Annotated[str, Field(max_length=100)], Any], Field(max_length=200)]


class Look(Record):
    """Show a scene; what was asked before and is not finished is dropped."""

    type: Literal["look"] = "look"
    number: int = Field(ge=0)
    factors: Factors


class Pin(Record):
    """Take the scene that is shown as the reference."""

    type: Literal["pin"] = "pin"


class Ask(Record):
    """Ask image-text models and scorers for these captions; none: for the names of what is there."""

    type: Literal["ask"] = "ask"
    captions: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(max_length=64)


class Sweep(Record):
    """Render the scene that is shown at several levels of one factor."""

    type: Literal["sweep"] = "sweep"
    factor: str = Field(max_length=100)
    levels: list[Value] = Field(min_length=2, max_length=64)


class Search(Record):
    """Look for a picture that a model gets wrong and that is still easy for a person."""

    type: Literal["search"] = "search"
    model: str = Field(max_length=300)
    factors: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, max_length=60)
    pictures: int = Field(default=60, ge=1, le=2000)
    visible: float = Field(default=0.6, ge=0, le=1)
    area: float = Field(default=0.04, ge=0, le=1)


class Stop(Record):
    """End a sweep or a search."""

    type: Literal["stop"] = "stop"


class Share(Record):
    """Hand out a finding: what is shown, in one file."""

    type: Literal["share"] = "share"
    note: str = Field(default="", max_length=2000)


class Open(Record):
    """Open a finding."""

    type: Literal["open"] = "open"
    finding: str = Field(max_length=16 * 2**20)


Request = Annotated[Look | Pin | Ask | Sweep | Search | Stop | Share | Open, Field(discriminator="type")]
request: TypeAdapter[Request] = TypeAdapter(Request)


class ModelCard(Record):
    """A model as the page shows it."""

    name: str
    kind: str
    about: str = ""
    parameters: int | None = None
    weights_sha256: str | None = None


class Example(Record):
    """A picture of a dataset, whose scene can be looked at."""

    row: int
    factors: dict[str, Value]
    image: EncodedImage


class Ready(Record):
    """What there is to turn and who looks; the first message. ``shown``: a picture and its readings follow unasked."""

    type: Literal["ready"] = "ready"
    engine: str
    controls: list[Control]
    models: list[ModelCard]
    factors: dict[str, Value]
    captions: list[str] = Field(default_factory=list)
    shown: bool = False
    examples: list[Example] = Field(default_factory=list)


class Picture(Record):
    """A picture of the scene that a page asked for; the final one also ``small``, for a film strip."""

    type: Literal["picture"] = "picture"
    number: int
    stage: Literal["first", "final"]
    scene_id: str
    factors: dict[str, Value]
    image: EncodedImage
    small: EncodedImage | None = None
    milliseconds: float
    engine_milliseconds: float
    samples: int | None = None
    visible: float | None = None
    area: float | None = None


class Readings(Record):
    """What the models say of the final picture, and what they said of the reference; ``captions`` that were asked."""

    type: Literal["readings"] = "readings"
    number: int
    readings: list[Reading]
    reference: list[Reading] = Field(default_factory=list)
    captions: list[str] = Field(default_factory=list)


class Pinned(Record):
    """The reference: what changes are measured from."""

    type: Literal["pinned"] = "pinned"
    factors: dict[str, Value]
    image: EncodedImage
    readings: list[Reading]


class Point(Record):
    """One level of a sweep, or one picture of a search."""

    type: Literal["point"] = "point"
    of: Literal["sweep", "search"]
    done: int
    total: int
    seconds_left: float | None = None
    factor: str = ""
    level: Value | None = None
    factors: dict[str, Value] = Field(default_factory=dict)
    image: EncodedImage | None = None
    readings: list[Reading] = Field(default_factory=list)
    margin: float | None = None
    problem: str = ""


class Done(Record):
    """A sweep or a search is finished."""

    type: Literal["done"] = "done"
    of: Literal["sweep", "search"]
    found: bool = False
    text: str = ""
    factors: dict[str, Value] = Field(default_factory=dict)


class Shared(Record):
    """A finding, as the text of its file, and a spec of its neighbourhood."""

    type: Literal["shared"] = "shared"
    name: str
    finding: str
    spec: str


class Opened(Record):
    """What a finding that was opened held."""

    type: Literal["opened"] = "opened"
    factors: dict[str, Value]
    note: str = ""
    image: EncodedImage
    readings: list[Reading]
    same_engine: bool
    missing: list[str] = Field(default_factory=list)


class Busy(Record):
    """Something takes its time: what, and for how long it usually does."""

    type: Literal["busy"] = "busy"
    text: str
    seconds: float | None = None


class Notice(Record):
    """Something happened that a person should know of, and that nothing has to be done about."""

    type: Literal["notice"] = "notice"
    text: str


class Problem(Record):
    """Something went wrong; ``number`` is of the look that it ends, if it was one, and that is not tried ``again``."""

    type: Literal["problem"] = "problem"
    text: str
    number: int | None = None
    lasting: bool = False
    again: bool = False


Event = (
    Ready | Picture | Readings | Pinned | Point | Done | Shared | Opened | Busy | Notice | Problem
)  # fmt: skip
