"""The kinds of designs as a spec file has them: pydantic models, each of which builds its design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import ar4t
from torchmultiverse.scenes.design import Design, Explicit, Factorial
from torchmultiverse.scenes.factors import FactorTable, Value
from torchmultiverse.scenes.paths import Path
from torchmultiverse.scenes.sampling import sample_design
from torchmultiverse.scenes.stars import one_at_a_time, subsets
from torchmultiverse.scenes.subsets import constrained, difference, fraction, union
from torchmultiverse.scenes.video import Video, constrained_video
from torchmultiverse.scenes.where import Condition, parse_where

Level = str | int | float
Row = dict[str, Level | list[dict[str, Level]]]
"""A scene or a part of it: factor → level; of ``Objects`` the list of them."""
Levels = list[Any] | dict[str, Any]
"""Levels one by one, or a range: ``{"from": 0, "to": 360, "step": 45}``, or ``"count"`` instead of ``"step"``.

A range may stand among levels: ``["own", {"from": 20, "to": 100, "step": 20}]``.
"""


class SpecModel(BaseModel):
    """What all parts of a spec have in common: no further keys, no conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Kind(SpecModel):
    only: list[str] = Field(
        default_factory=list, description="filters, as for --where; a scene stays if one of them holds"
    )
    exclude: list[str] = Field(default_factory=list, description="filters; a scene goes if one of them holds")

    def build(self, table: FactorTable, seed: int) -> Design:
        """Return the design.

        Raises:
            SpecError: names the place and the value that is wrong.
        """
        built = self._build(table, seed)
        only, exclude = _parsed(self.only, "only", table), _parsed(self.exclude, "exclude", table)
        design = (
            constrained_video(built, only, exclude) if isinstance(built, Video) else constrained(built, only, exclude)
        )
        if design.count == 0:
            raise SpecError("design: its constraints leave no scene")
        return design

    def levels(self, table: FactorTable, seed: int) -> dict[str, list[Value]]:
        """Return the levels of each factor that the design mentions; none of one whose values are drawn at random."""
        return self.build(table, seed).levels()

    def moving(self) -> set[str]:
        """Return the names of the factors that move within a clip; empty of a design without clips."""
        return set()

    def _build(self, table: FactorTable, seed: int) -> Design:
        raise NotImplementedError


class FactorialDesign(_Kind):
    """Every combination of the levels; the first factor changes slowest."""

    kind: Literal["factorial"]
    factors: dict[str, Levels] = Field(default_factory=dict, description="factor → its levels")
    linked: list[list[Row]] = Field(
        default_factory=list, description="axes of factors that change together; each axis is a list of rows"
    )

    def _build(self, table: FactorTable, seed: int) -> Factorial:
        return Factorial.of(self.factors, self.linked, table, "design.factors")


class FractionDesign(_Kind):
    """One in so many of all combinations, chosen so that levels and their combinations stay balanced."""

    kind: Literal["fraction"]
    one_in: int = Field(ge=1, description="1/n of the factorial is kept")
    factors: dict[str, Levels] = Field(default_factory=dict)
    linked: list[list[Row]] = Field(default_factory=list)

    def _build(self, table: FactorTable, seed: int) -> Design:
        return fraction(Factorial.of(self.factors, self.linked, table, "design.factors"), self.one_in, seed)


class DrawnDesign(_Kind):
    """So many different scenes, drawn from all combinations; ranges without a step give any number in them."""

    kind: Literal["random", "latin_hypercube", "sobol"]
    pictures: int = Field(ge=1)
    factors: dict[str, Levels] = Field(default_factory=dict)
    linked: list[list[Row]] = Field(default_factory=list)

    def _build(self, table: FactorTable, seed: int) -> Design:
        return sample_design(self.kind, self.pictures, self.factors, linked=self.linked, table=table, seed=seed)


class Subset(SpecModel):
    """One varied factor of a one-at-a-time design, with all its levels and a reference of its own."""

    factor: str
    levels: Levels
    reference: Row = Field(default_factory=dict, description="what is otherwise than in the design's reference")


class OneAtATimeDesign(_Kind):
    """One factor at a time is moved away from a reference scene."""

    kind: Literal["one_at_a_time"]
    reference: Row = Field(description="the scene around which is varied")
    vary: dict[str, Levels] = Field(default_factory=dict, description="factor → its levels; the reference comes once")
    subsets: dict[str, Subset] = Field(
        default_factory=dict, description="instead of 'vary': named subsets, in which the reference's level is repeated"
    )
    over: dict[str, Levels] = Field(default_factory=dict, description="factors crossed with the whole star")
    linked: list[list[Row]] = Field(default_factory=list, description="axes crossed with it, with 'subsets'")

    def _build(self, table: FactorTable, seed: int) -> Design:
        if bool(self.vary) == bool(self.subsets):
            raise SpecError("design: give either 'vary' or 'subsets'")
        if self.subsets:
            parts = {name: (s.factor, s.levels, s.reference) for name, s in self.subsets.items()}
            return subsets(parts, self.reference, table, self.over, self.linked)
        if self.linked:
            raise SpecError("design.linked goes with 'subsets'; cross a star with 'over'")
        return one_at_a_time(self.reference, self.vary, table, self.over)


class ExplicitDesign(_Kind):
    """Scenes written out one by one."""

    kind: Literal["explicit"]
    scenes: list[Row]

    def _build(self, table: FactorTable, seed: int) -> Explicit:
        return Explicit.of(self.scenes, table, "design.scenes")


_PAIR = ("Character", "Character2")


class _Pairs(_Kind):
    worlds: list[str] = Field(min_length=1, description="backgrounds")
    assets: dict[str, list[str]] | list[str] = Field(
        description="class → its assets; a list of assets: each a class of its own"
    )
    jitter: int = Field(default=25, ge=0, le=200, description="most that each coordinate is moved by")
    distinct: bool = Field(default=False, description="two objects are never of one class")
    placement: Literal["published", "physical"] = Field(
        default="published",
        description="'physical': relations are made true as words, whatever the objects look like: what is on or under "
        "another touches it, what is above or below does not, and what stands is on the ground",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Left out where it is the default: a dataset begun before there was a choice goes on, and keeps its identity.
        return {key: value for key, value in write(self).items() if (key, value) != ("placement", "published")}

    def _assets(self) -> dict[str, list[str]]:
        return self.assets if isinstance(self.assets, dict) else {name: [name] for name in self.assets}

    def _placing(self) -> ar4t.Placing:
        return ar4t.Placing(self.jitter, self.distinct, self.placement == "physical")

    def levels(self, table: FactorTable, seed: int) -> dict[str, list[Value]]:
        """Return what is drawn from, without drawing."""
        names: list[Value] = [name for of in self._assets().values() for name in of]
        found: dict[str, list[Value]] = {"World_Name": list(self.worlds)}
        for prefix in _PAIR:
            found |= {f"{prefix}_Name": names, f"{prefix}_Scale": [], f"{prefix}_Location": []}
        return found


class RelationsDesign(_Pairs):
    """Objects in spatial relations, each scene of two with its hard negative (PUG: AR4T-Relations)."""

    kind: Literal["ar4t_relations"]
    pairs: int = Field(ge=1, description="scenes of each binary relation in each world, each with a hard negative")
    single: int = Field(ge=0, description="scenes of each unary relation in each world")

    def _build(self, table: FactorTable, seed: int) -> Design:
        return ar4t.relations(
            self.worlds, self._assets(), pairs=self.pairs, single=self.single, table=table, seed=seed,
            placing=self._placing(),
        )  # fmt: skip


class AttributesDesign(_Pairs):
    """Objects with attributes, each scene of two with its hard negative (PUG: AR4T-Attributes)."""

    kind: Literal["ar4t_attributes"]
    attributes: dict[str, list[str] | int | float] = Field(
        min_length=1, description="attribute → textures that show it, or the longest edge that does (150: scale 1)"
    )
    pairs: int = Field(ge=1, description="scenes of every two variants of attributes, each with a hard negative")
    single: int = Field(ge=0, description="scenes of each variant alone")
    further_pairs: int = Field(default=0, ge=0, description="more pairs, of variants and worlds drawn at random")

    def _build(self, table: FactorTable, seed: int) -> Design:
        return ar4t.attributes(
            self.worlds, self._assets(), self.attributes, pairs=self.pairs, single=self.single, table=table, seed=seed,
            further_pairs=self.further_pairs, placing=self._placing(),
        )  # fmt: skip

    def levels(self, table: FactorTable, seed: int) -> dict[str, list[Value]]:
        """Return what is drawn from, without drawing."""
        shown = [of if isinstance(of, list) else ["Default"] for of in self.attributes.values()]
        textures: list[Value] = list(dict.fromkeys(name for of in shown for name in of))
        return super().levels(table, seed) | dict.fromkeys((f"{prefix}_Texture" for prefix in _PAIR), textures)


class UnionDesign(_Kind):
    """All scenes of some designs, each once."""

    kind: Literal["union"]
    of: list[AnyDesign] = Field(min_length=1)

    def moving(self) -> set[str]:
        """Return the names of the factors that move within a clip."""
        return {name for one in self.of for name in one.moving()}

    def _build(self, table: FactorTable, seed: int) -> Design:
        return union(_each(self.of, "of", table, seed))


class DifferenceDesign(_Kind):
    """The scenes of a design that are in none of some others."""

    kind: Literal["difference"]
    of: AnyDesign
    minus: list[AnyDesign] = Field(min_length=1)

    def moving(self) -> set[str]:
        """Return the names of the factors that move within a clip."""
        return self.of.moving()

    def _build(self, table: FactorTable, seed: int) -> Design:
        return difference(_each([self.of], "of", table, seed)[0], _each(self.minus, "minus", table, seed))


class PathSpec(SpecModel):
    """How a factor moves in a clip."""

    keys: list[list[Any]] = Field(min_length=1, description="[seconds, value], in order of time")
    interpolation: Literal["linear", "smooth", "hold"] | None = Field(
        default=None,
        description="smooth: a monotone cubic, at rest at both ends; hold: each value until the next key. Default: "
        "linear; of categories hold, which have nothing else",
    )
    short_way: bool = Field(
        default=False, description="angles turn by half a turn at most between keys; default: as they are written"
    )
    add: bool = Field(default=False, description="the values are added to what the clip has by itself")


class VideoDesign(_Kind):
    """Clips: scenes in which factors move along paths, frame by frame."""

    kind: Literal["video"]
    clips: AnyDesign
    path: dict[str, PathSpec] = Field(min_length=1, description="factor → how it moves")
    fps: float = Field(default=12, gt=0, le=1000, description="frames per second")
    seconds: float = Field(default=2, gt=0, le=36000, description="length of each clip; its last frame is before it")

    def _build(self, table: FactorTable, seed: int) -> Video:
        try:
            clips = self.clips.build(table, seed)
        except SpecError as error:
            raise SpecError(f"design.clips: {error}") from None
        paths: dict[str, Path] = {}
        for name, one in self.path.items():
            place = f"design.path.{name}"
            path = Path.of(table[name], one.keys, one.interpolation, short_way=one.short_way, add=one.add, place=place)
            if path.factor.wire in paths:
                raise SpecError(f"{place} is {path.factor.wire}, which has a path already")
            paths[path.factor.wire] = path
        return Video(clips, list(paths.values()), self.fps, self.seconds)

    def moving(self) -> set[str]:
        """Return the names of the factors that move within a clip."""
        return set(self.path) | self.clips.moving()


AnyDesign = Annotated[
    FactorialDesign
    | FractionDesign
    | DrawnDesign
    | OneAtATimeDesign
    | ExplicitDesign
    | RelationsDesign
    | AttributesDesign
    | UnionDesign
    | DifferenceDesign
    | VideoDesign,
    Field(discriminator="kind", description="which scenes"),
]
UnionDesign.model_rebuild()
DifferenceDesign.model_rebuild()
VideoDesign.model_rebuild()


def _each(designs: Sequence[_Kind], place: str, table: FactorTable, seed: int) -> list[Design]:
    built = []
    for i, design in enumerate(designs):
        try:
            built.append(design.build(table, seed))
        except SpecError as error:
            raise SpecError(f"design.{place}[{i}]: {error}") from None
    return built


def _parsed(filters: Sequence[str], place: str, table: FactorTable) -> list[tuple[Condition, ...]]:
    found = []
    for i, text in enumerate(filters):
        try:
            found.append(parse_where(text, table))
        except SpecError as error:
            raise SpecError(f"design.{place}[{i}]: {str(error).removeprefix('--where: ')}") from None
    return found
