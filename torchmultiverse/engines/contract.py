"""The contract of every engine: what a scene is turned into, and what an engine says of itself.

An engine is anything with ``catalogue()``, ``render()`` and ``close()``; `tests/contract` holds what all of them
must pass, the built-in renderer in this process as well as an Unreal binary behind WebRTC.

Threads: an engine is made, used and closed in one thread, with two exceptions. ``close()`` may come from another thread
while ``render()`` waits: that is how an engine that hangs is ended, and ``render()`` should then raise. Methods of
`ReportsMemory` may be called from any thread at any time.

What some engines can do besides is a *capability*: a protocol of its own below. Ask with `capability`, which looks
through engines that wrap another one, never with ``hasattr``.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines import codec
from torchmultiverse.engines.hiding import unfit
from torchmultiverse.engines.meaning import meaningless
from torchmultiverse.errors import RenderError, SpecError, nearest, nearest_of
from torchmultiverse.scenes import (
    OWN,
    PASSES,
    Condition,
    Design,
    FactorTable,
    Scene,
    SemanticClass,
    base_world,
    classes_of,
    level_name,
    listed,
    spoken,
)

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How pictures are rendered; the same for every scene of one dataset.

    Attributes:
        size: width and height in pixels.
        passes: any of ``rgb``, ``mask``, ``class``, ``depth``, ``normals``; ``rgb`` is always among them.
        format: of the rgb pass, ``png`` or ``jpeg``; or ``raw``: all passes without compression, for pictures that are
            looked at and not kept. An engine behind an address that cannot send them so, or not fast enough, sends
            ``png``: the same numbers.
        seed: the dataset's seed; each picture's own is ``scene_seed(seed, scene_id)``.
        samples: samples per pixel of a path tracer; ``None`` is the engine's default.
    """

    size: tuple[int, int] = (512, 512)
    passes: tuple[str, ...] = ("rgb",)
    format: Literal["png", "jpeg", "raw"] = "png"
    seed: int = 0
    samples: int | None = None

    def __post_init__(self) -> None:
        if not all(16 <= side <= 4096 for side in self.size):
            raise SpecError(f"size {self.size} is out of range: 16 to 4096 pixels a side")
        for name in self.passes:
            if name not in PASSES:
                raise SpecError(f"unknown pass '{name}'.{nearest(name, PASSES)}")
        if "rgb" not in self.passes:
            raise SpecError(f"passes = {self.passes}: 'rgb' must be among them")


class Frame:
    """One rendered scene.

    A frame is made from arrays (an engine in this process) or from encoded bytes (over the wire) and turns
    one into the other when asked, by one codec, so that the bytes are the same whichever way they came.

    Arrays: ``rgb`` uint8 (H, W, 3), sRGB. ``mask`` uint8 (H, W): 0 background, 1 the first character, 2 the
    second, from 3 on further ones.
    ``class`` uint8 (H, W), uint16 where a number in it is above 255: 0 background, else the number of the character's
    class (see `Catalogue.classes`).
    ``depth`` float32 (H, W): metres along the viewing axis, ``inf`` where there is only sky.
    ``normals`` float32 (H, W, 3): unit vectors in camera coordinates (x right, y down, z forward), 0 for sky.

    An array that came over the wire in the format ``raw`` is read-only: a view of the bytes that were proven.

    Attributes:
        scene: what was asked for.
        scene_id: what the engine says it applied; equal to ``scene.scene_id`` or the frame is refused.
        settle: the engine's report that the picture was final (``{"settled": True, …}``).
        timings: milliseconds by phase.
        engine: the engine's fingerprint.
        info: further facts, such as ``camera`` and ``objects``; JSON values only.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        arrays: Mapping[str, Array] | None = None,
        tensors: Mapping[str, Any] | None = None,
        encoded: Mapping[str, bytes] | None = None,
        format: str = "png",
        settle: Mapping[str, Any] | None = None,
        timings: Mapping[str, float] | None = None,
        engine: str = "",
        info: Mapping[str, Any] | None = None,
        scene_id: str | None = None,
    ) -> None:
        self.scene = scene
        self.scene_id = scene.scene_id if scene_id is None else scene_id
        self.format = format
        self.settle = dict(settle or {})
        self.timings = dict(timings or {})
        self.engine = engine
        self.info = dict(info or {})
        self._arrays: dict[str, Array] = dict(arrays or {})
        self._encoded: dict[str, bytes] = dict(encoded or {})
        self._tensors: dict[str, Any] = dict(tensors or {})

    def in_format(self, format: str) -> Frame:
        """Return this frame, encoded in a format; itself where it is."""
        if format == self.format:
            return self
        arrays = {name: self.array(name) for name in self.passes}
        return Frame(
            self.scene, arrays=arrays, tensors=self._tensors, format=format, settle=self.settle, timings=self.timings,
            engine=self.engine, info=self.info, scene_id=self.scene_id,
        )  # fmt: skip

    def instead_of(self, scene: Scene, **info: Any) -> Frame:
        """Return this frame as the answer to another scene, with further facts that say so."""
        return Frame(
            scene,
            arrays=self._arrays,
            tensors=self._tensors,
            encoded=self._encoded,
            format=self.format,
            settle=self.settle,
            timings=self.timings,
            engine=self.engine,
            info={**self.info, **info},
        )

    @property
    def passes(self) -> tuple[str, ...]:
        """Names of the passes this frame has."""
        return tuple(dict.fromkeys([*self._tensors, *self._arrays, *self._encoded]))

    def tensor(self, name: str = "rgb") -> Any:
        """Return a pass as a torch tensor on the device where it was rendered; ``None`` if it left that already."""
        return self._tensors.get(name)

    def array(self, name: str = "rgb") -> Array:
        """Return a pass as an array (see the class for shapes and units)."""
        if name not in self._arrays and name in self._tensors:
            self._arrays[name] = self._tensors[name].cpu().numpy()
        if name not in self._arrays:
            self._arrays[name] = codec.decode(name, self._get(self._encoded, name))
        return self._arrays[name]

    def encoded(self, name: str = "rgb") -> bytes:
        """Return a pass as the bytes of a picture file."""
        if name not in self._encoded:
            held = self._arrays if name not in self._tensors else {name: self.array(name)}
            self._encoded[name] = codec.encode(name, self._get(held, name), self.format)
        return self._encoded[name]

    def sha256(self, name: str = "rgb") -> str:
        """Return the SHA-256 (hex) of the encoded pass."""
        return hashlib.sha256(self.encoded(name)).hexdigest()

    @property
    def image(self) -> Any:
        """The picture as a ``PIL.Image``."""
        from PIL import Image

        return Image.fromarray(self.array("rgb"))

    def _get(self, store: Mapping[str, Any], name: str) -> Any:
        if name not in store:
            raise KeyError(f"this frame has no pass '{name}'; it has {', '.join(self.passes)}")
        return store[name]

    def _repr_png_(self) -> bytes:
        return codec.encode("rgb", self.array("rgb"), "png")

    def __repr__(self) -> str:
        return f"Frame({self.scene!r}, passes={self.passes})"


@dataclass(frozen=True, slots=True)
class Failure:
    """A scene that could not be rendered within the engine's budget: no picture, and why.

    Attributes:
        scene: what was asked for.
        reason: why there is no picture.
        attempts: how often it was tried.
        engine_lost: whether the engine itself broke, so that another one may be able to render it.
    """

    scene: Scene
    reason: str
    attempts: int = 1
    engine_lost: bool = False

    def error(self) -> RenderError:
        """Return it as an exception."""
        return RenderError(f"{self.scene!r} failed after {self.attempts} attempts: {self.reason}")


class Asset(BaseModel):
    """Where a level's geometry or surface comes from, so that its licence can reach the dataset card."""

    model_config = ConfigDict(frozen=True)
    name: str
    kind: str = ""
    source: str = ""
    license: str = ""
    attribution: str = ""
    pack: str = ""


class CharacterClass(BaseModel):
    """A class of characters and its number in the pass ``class`` and in ``objects``.

    ``name``, ``kind``, ``display``, ``synset`` and ``imagenet`` are those of `scenes.SemanticClass`; ``characters`` are
    the levels of Character_Name that are of it.
    """

    model_config = ConfigDict(frozen=True)
    id: int = Field(ge=1, le=65535)
    name: str
    kind: str = ""
    display: str = ""
    synset: str = ""
    imagenet: list[int] = Field(default_factory=list)
    characters: list[str] = Field(default_factory=list)


def class_list(characters: Iterable[str], given: Mapping[str, str] | None = None) -> list[CharacterClass]:
    """Return the classes of characters by the package's table, in the order of their ids (see `scenes.classes_of`)."""
    members: dict[SemanticClass, list[str]] = {}
    for name, found in classes_of(characters, given).items():
        members.setdefault(found, []).append(name)
    return [
        CharacterClass(
            id=one.id, name=one.name, kind=one.kind, synset=one.synset,
            display=spoken(one.display) if one.kind == "own" else one.display,
            imagenet=list(one.imagenet), characters=members[one],
        )
        for one in sorted(members, key=lambda one: one.id)
    ]  # fmt: skip


class Choice(BaseModel):
    """What an engine accepts for one factor: ``levels`` of a category, or a range.

    ``aliases`` are other names of levels, accepted as well, each with the level that it is one of; ``about`` says of a
    level in a few words what it is. ``worlds`` names the worlds of levels that not every world has; ``only`` those that
    have any level beside the default, where not every world has. ``whole``: whether numbers have to be whole ones.
    """

    model_config = ConfigDict(frozen=True)
    levels: list[str] | None = None
    aliases: dict[str, str] = Field(default_factory=dict)
    about: dict[str, str] = Field(default_factory=dict)
    worlds: dict[str, list[str]] = Field(default_factory=dict)
    only: list[str] | None = None
    low: float | None = None
    high: float | None = None
    whole: bool = False

    def takes(self, value: Any) -> bool:
        """Tell whether a value is accepted."""
        if self.levels is not None:
            return value in self.levels or value in self.aliases
        if value == OWN:  # a world's own is always there
            return True
        if self.whole and not float(value).is_integer():
            return False
        return self.low is None or self.high is None or bool(self.low <= value <= self.high)

    def said_of(self, words: str, most: int = 3) -> list[str]:
        """Return levels whose name or what is said of them has some words in it, such as ``lamp``: ``Table_Lamb_1``."""
        wanted = spoken(words)
        named = [name for name in self.levels or [] if re.search(rf"\b{re.escape(wanted)}\b", self._words(name))]
        return named[:most] if wanted else []

    def _words(self, level: str) -> str:
        return f"{spoken(level)} {self.about.get(level, '').casefold()}"


_FACTORS_OF = {
    "character": ("Character_Name", "Character2_Name"),
    "texture": ("Character_Texture", "Character2_Texture"),
    "world": ("World_Name",),
}
"""Kind of assets → factors whose levels are of it."""
_FIELD_OF = {"character": "Name", "texture": "Texture"}
"""Kind of assets → the field of a further object whose levels are of it."""
_FIELDS = {"Name": "Character_Name", "Texture": "Character_Texture"}
"""Field of a further object → the factor whose levels it takes."""


def _named(levels: Mapping[str, Iterable[Any]], kind: str) -> set[str]:
    """Return the levels that an asset of a kind may be of: ``Bridge_1`` is a character, and no view of ``Bridge``."""
    factors = _FACTORS_OF.get(kind, tuple(levels))
    found = {str(level) for factor in factors for level in levels.get(factor, ())}
    if (field := _FIELD_OF.get(kind)) is not None:
        lists = [listed(text) for text in levels.get("Objects", ())]
        found |= {row[field] for rows in lists for row in rows if field in row}
    return found | {base_world(level) for level in found} if "World_Name" in factors else found


class Catalogue(BaseModel):
    """What an engine can render.

    ``complete`` is false where the engine cannot be asked (existing binaries of the ``pug`` dialect);
    then nothing is checked beforehand. ``packs`` are the packs of assets it draws from, in their order.
    ``figure_ground``: whether its ``objects`` say how far each character stands out from what is around it.
    ``classes``: what the numbers in its pass ``class`` mean, where it says so.
    """

    model_config = ConfigDict(frozen=True)
    engine: str
    version: str = ""
    fingerprint: str = ""
    complete: bool = True
    passes: list[str] = Field(default_factory=lambda: ["rgb"])
    figure_ground: bool = False
    factors: dict[str, Choice] = Field(default_factory=dict)
    packs: list[str] = Field(default_factory=list)
    assets: list[Asset] = Field(default_factory=list)
    classes: list[CharacterClass] = Field(default_factory=list)

    def classes_among(self, levels: Mapping[str, Iterable[Any]]) -> list[CharacterClass]:
        """Return the classes of the characters among some levels by factor, each with these characters alone."""
        named = _named(levels, "character")
        found = [(one, [name for name in one.characters if name in named]) for one in self.classes]
        return [one.model_copy(update={"characters": names}) for one, names in found if names]

    def assets_among(self, levels: Mapping[str, Iterable[Any]]) -> list[Asset]:
        """Return the assets of some levels by factor; of a world that is named with the suffix of a view as well."""
        named = {kind: _named(levels, kind) for kind in {asset.kind for asset in self.assets}}
        return [asset for asset in self.assets if asset.name in named[asset.kind]]

    def unsupported(self, levels: Mapping[str, Iterable[Any]], table: FactorTable) -> dict[str, list[Any]]:
        """Return, for each factor of which there are any, the levels that this engine cannot render."""
        found: dict[str, list[Any]] = {}
        if not self.complete:
            return found
        for name, values in levels.items():
            if table[name].label:
                continue
            choice, default = self.factors.get(name), table[name].default
            if table[name].kind == "list" and choice is not None:
                wrong = [v for v in values if self._list_problem(v)]
            else:
                wrong = [v for v in values if not (v == default if choice is None else choice.takes(v))]
            if wrong:
                found[name] = wrong
        return found

    def _list_problem(self, objects: str) -> str:
        """Return why a list of objects cannot be rendered, the first reason; nothing where it can."""
        rows, most = listed(objects), self.factors["Objects"].high
        if most is not None and len(rows) > most:
            return f"Objects has {len(rows)} objects; engine '{self.engine}' has at most {most:g}"
        for k, row in enumerate(rows):
            for field, factor in _FIELDS.items():
                choice = self.factors.get(factor)
                if field in row and choice is not None and not choice.takes(row[field]):
                    near = nearest(row[field], choice.levels or ())
                    return f"Objects[{k}].{field} = '{row[field]}' is unknown to engine '{self.engine}'.{near}"
        return ""

    def problems(self, levels: Mapping[str, Iterable[Any]], table: FactorTable) -> list[str]:
        """Return one line for each factor that has levels which this engine cannot render, with what is near them."""
        return [self._problem(name, wrong) for name, wrong in self.unsupported(levels, table).items()]

    def misplaced(self, what: Scene | Design) -> list[str]:
        """Return one line for each level of a scene or a whole design that stands with a world that has it not, and
        one for each kind of scenes whose factors cannot go together (see `hiding.unfit`)."""
        found: list[str] = []
        views = self.factors["World_Name"].aliases if "World_Name" in self.factors else {}
        mentioned = what.complete if isinstance(what, Scene) else dict.fromkeys(what.factors)
        for name, choice in self.factors.items():
            if name not in mentioned:
                continue
            found += [] if choice.only is None else meaningless(what, name, choice.only, views)
            for level, having in choice.worlds.items():
                if isinstance(what, Scene):
                    worlds = [what["World_Name"]] if what[name] == level else []
                else:
                    counts = what.where([Condition(name, "in", (level,))]).level_counts().get("World_Name", {})
                    worlds = [world for world, number in counts.items() if number]
                lacking = [world for world in worlds if views.get(str(world), str(world)) not in having]
                found += [self._misplaced(name, level, lacking, views)] if lacking else []
        occluders = self.factors["Occluder"].levels if "Occluder" in self.factors else None
        return found + unfit(what, occluders, {one.name: one.characters for one in self.classes})

    def _misplaced(self, name: str, level: str, worlds: list[Any], views: Mapping[str, str]) -> str:
        """Return what to say of worlds that lack a level."""
        choice, world = self.factors[name], views.get(str(worlds[0]), str(worlds[0]))
        has = [other for other, having in choice.worlds.items() if world in having]
        others = (
            f"others that it has: {', '.join(has)}" if has else f"it has none; {_some(choice.worlds[level])} have it"
        )
        more = f" and {len(worlds) - 1} more worlds" if len(worlds) > 1 else ""
        return f"{name} = {level}: not in world '{worlds[0]}'{more} of engine '{self.engine}'; {others}"

    def _problem(self, name: str, wrong: list[Any]) -> str:
        choice = self.factors.get(name)
        if choice is not None and name == "Objects":
            more = f" ({len(wrong):,} lists cannot be rendered)" if len(wrong) > 1 else ""
            return self._list_problem(wrong[0]) + more
        if choice is None:
            return f"{name}: engine '{self.engine}' cannot vary it.{nearest(name, self.factors)}"
        one = len(wrong) == 1
        if choice.whole and (broken := [level for level in wrong if not float(level).is_integer()]):
            more = f"; {len(broken) - 1:,} more levels are no whole numbers" if len(broken) > 1 else ""
            return f"{name} = {broken[0]}: a whole number is right, such as {_whole_near(broken[0], choice)}{more}"
        if choice.levels is None:
            what = f"{name} = {wrong[0]} is" if one else f"{len(wrong):,} levels of {name} are"
            which = "" if one else f": {_some(wrong)}"
            return f"{what} out of the range of engine '{self.engine}', {choice.low:g} to {choice.high:g}{which}"
        called = [level_name(level, name) for level in choice.levels]
        if one:
            said = choice.said_of(str(wrong[0]))
            near = f" Did you mean {' or '.join(map(repr, said))}?" if said else nearest(str(wrong[0]), called)
            return f"{name} = '{wrong[0]}' is unknown to engine '{self.engine}'.{near}"
        near = nearest_of(map(str, wrong[:_NEAREST]), called)
        return f"{len(wrong):,} unknown {name}, engine '{self.engine}': {_some(wrong)}{near}"

    def pack_problems(self, wanted: Sequence[str]) -> list[str]:
        """Return why a spec's packs of assets are not those that the engine draws from; nothing if they are."""
        if not wanted or list(wanted) == self.packs:
            return []
        has = f"draws from {self.packs}" if self.packs else "has no packs of assets"
        flags = " ".join(f"--assets {name}" for name in wanted)
        return [f"assets = {list(wanted)}: engine '{self.engine}' {has}; one with them: torchmultiverse serve {flags}"]

    def check(self, what: Scene | Design) -> None:
        """Check a scene or a whole design (without expanding it).

        Raises:
            SpecError: names every level that cannot be rendered.
        """
        if isinstance(what, Scene):
            levels: dict[str, list[Any]] = {name: [value] for name, value in what.complete.items()}
        else:
            levels = {name: list(values) for name, values in what.levels().items()}
        found = self.problems(levels, what.table)
        found += [] if found or not self.complete else self.misplaced(what)
        if found:
            raise SpecError("\n".join(found))


_LISTED = 30
"""Levels that a message lists."""
_NEAREST = 8
"""Levels whose nearest known one it names."""


def _whole_near(value: float, choice: Choice) -> int:
    """Return the whole number next to a value that a choice takes; the value is within its range or it is not."""
    low, high = (-math.inf if choice.low is None else choice.low), (math.inf if choice.high is None else choice.high)
    return round(min(max(value, low), high))


def _some(levels: list[Any]) -> str:
    more = f", … and {len(levels) - _LISTED:,} more" if len(levels) > _LISTED else ""
    return ", ".join(map(str, levels[:_LISTED])) + more


@runtime_checkable
class Engine(Protocol):
    """Whatever turns scenes into frames."""

    def catalogue(self) -> Catalogue:
        """Return what can be rendered."""
        ...

    def render(self, scenes: Iterable[Scene], options: RenderOptions = ...) -> Iterator[Frame | Failure]:
        """Render scenes lazily, each answered exactly once, in the order asked.

        The iterable is consumed a few scenes ahead at most. A scene that cannot be rendered gives a ``Failure``
        and the others go on; ``EngineError`` is raised when the engine as a whole is lost.
        """
        ...

    def close(self) -> None:
        """Free everything; may be called twice, and from another thread than ``render()``."""
        ...


@runtime_checkable
class ReportsMemory(Protocol):
    """A capability: an engine with processes of its own, whose memory can be measured.

    Asked after every picture where a limit of memory is set, and once a second for reports, from any thread.
    """

    def memory(self) -> int:
        """Return the resident memory of the engine's processes in bytes; 0 where none runs."""
        ...


@runtime_checkable
class ReportsPixels(Protocol):
    """A capability: an engine behind an address, which knows which way its pictures come. From any thread."""

    @property
    def pixels(self) -> str:
        """The way: ``shared`` memory of this host, a binary ``websocket``, or the data ``channel`` of WebRTC."""
        ...


@runtime_checkable
class HasManifestNotes(Protocol):
    """A capability: an engine whose datasets should say something of how they were made.

    Asked once, in the engine's thread, before its first picture.
    """

    def manifest_notes(self) -> list[str]:
        """Return sentences for the dataset's manifest; empty where there is nothing to say."""
        ...


@runtime_checkable
class RendersOnDevice(Protocol):
    """A capability: an engine that can leave its pictures on the GPU where they were traced.

    Set in the engine's thread before ``render()``; frames then hold tensors (`Frame.tensor`) until somebody asks for an
    array.
    """

    on_device: bool


@runtime_checkable
class Annotates(Protocol):
    """A capability: an engine that can leave out where its characters are seen, where only the picture is wanted.

    Set in the engine's thread before ``render()``; frames that are not ``annotated`` lack ``info["objects"]``.
    """

    annotated: bool


@runtime_checkable
class AnswersInBatches(Protocol):
    """A capability: an engine that hands out pictures in batches, so that many have to be asked for ahead.

    Asked in the engine's thread, after ``catalogue()``.
    """

    def batch_size(self) -> int:
        """Return how many scenes the engine takes before it answers the first of them; 1: it answers each by itself."""
        ...


@runtime_checkable
class WrapsEngine(Protocol):
    """A capability: an engine that adds something to another one, whose capabilities are its own as well."""

    @property
    def wrapped(self) -> Engine:
        """The engine inside."""
        ...


C = TypeVar("C")


def capability(engine: Engine, kind: type[C]) -> C | None:
    """Return an engine, or the one that it wraps, as something that has a capability; ``None`` where it has it not.

    Args:
        engine: any engine.
        kind: one of the protocols above, such as `ReportsMemory`.
    """
    found: object = engine
    while not isinstance(found, kind):
        if not isinstance(found, WrapsEngine):
            return None
        found = found.wrapped
    return found
