"""The steps of a ladder as scenes of a spec that are rendered: as many of each class, in the factors that it frees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import Factor, Spec, parse_spec, said_name
from torchmultiverse.store import StoredDataset, open_dataset
from torchmultiverse.transfer.ladder_groups import Plan, grouped, narrow_levels
from torchmultiverse.transfer.ladder_rows import Drawn, own_count

CLASS = "Character_Name"
_TRIES = 6


@dataclass(frozen=True)
class Frame:
    """What a spec varies, by factor.

    Attributes:
        spec: as it was read.
        axes: factor by wire name to its levels: a list, or a range.
        linked: axes of factors that change together.
        groups: of the factors that vary, by wire names.
        assets: characters of each class.
    """

    spec: Spec
    axes: Mapping[str, Any]
    linked: tuple[tuple[Mapping[str, Any], ...], ...]
    groups: Mapping[str, tuple[str, ...]]
    assets: Mapping[str, tuple[str, ...]]


def frame_of(spec: Spec, given: Mapping[str, Sequence[str]]) -> Frame:
    """Return what a spec varies.

    Args:
        spec: with a design of factors and levels.
        given: groups of factors.

    Raises:
        SpecError: a design that is none of factors and levels, or one that does not vary the first character.
    """
    design = spec.design.model_dump(mode="json")
    if "factors" not in design:
        raise SpecError(
            f"a ladder needs a design of factors and their levels (factorial, fraction, random, latin_hypercube, "
            f"sobol), and '{spec.name}' is of kind '{design['kind']}': render it, and give the dataset instead"
        )
    table = spec.table
    axes = {table[name].wire: levels for name, levels in design["factors"].items()}
    linked = tuple(tuple({table[n].wire: v for n, v in row.items()} for row in axis) for axis in design["linked"])
    every = {**axes, **{name: [row[name] for row in axis] for axis in linked for name in axis[0]}}
    assets = _assets(every.get(CLASS, []))
    varied = [name for name in every if name != CLASS and not table[name].label and _varies(every[name])]
    groups = grouped(varied, given)
    if any(len(names) > 1 for names in assets.values()):
        groups = {**groups, "assets": (CLASS,)}
    if not groups:
        raise SpecError(f"'{spec.name}' varies nothing but the class; a ladder needs factors to free")
    return Frame(spec, axes, linked, groups, assets)


def _assets(characters: Any) -> dict[str, tuple[str, ...]]:
    """Return the characters of each class.

    Raises:
        SpecError: not a list of them, or of fewer than two classes.
    """
    if not isinstance(characters, list):
        raise SpecError(f"design.factors.{CLASS} = {characters!r}: a ladder needs a list of characters, its classes")
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(map(str, characters)):
        found.setdefault(said_name(name), []).append(name)
    if len(found) < 2:
        raise SpecError(f"design.factors.{CLASS} has {len(found)} classes of characters; a ladder needs two or more")
    return {name: tuple(mine) for name, mine in found.items()}


def _varies(levels: Any) -> bool:
    if isinstance(levels, Mapping):
        return levels.get("from") != levels.get("to")
    return len({str(level) for level in levels}) > 1 or any(isinstance(level, Mapping) for level in levels)


def step_spec(frame: Frame, plan: Plan, classes: Sequence[str], per_class: int, share: float, seed: int) -> Spec:
    """Return a spec of one step: scenes written out, for each class first those to train on, then those to test on.

    Args:
        frame: what the spec varies.
        plan: the step.
        classes: to be trained on.
        per_class: pictures of each to train on.
        share: of the levels, or of the range, of a held factor that remains.
        seed: of the draw; each step and class has its own, so that no step changes another.

    Raises:
        DatasetError: a class has not so many different scenes in this step.
    """
    scenes: list[dict[str, Any]] = []
    for name in classes:
        scenes += _class_scenes(frame, plan, name, per_class + own_count(per_class), share, seed)
    data = frame.spec.model_dump(mode="json")
    data |= {
        "name": f"{frame.spec.name[:60]}-{folder_name(plan.name)}", "splits": {},
        "design": {"kind": "explicit", "scenes": scenes},
    }  # fmt: skip
    return parse_spec(data)


def folder_name(step: str) -> str:
    """Return a step's name as one of a folder; another for each name.

    >>> folder_name("without poses"), folder_name("c, h inside b")[:14]
    ('without-poses', 'c--h-inside-b-')
    """
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in step)
    if plain == step or plain == step.replace(" ", "-"):
        return plain
    return f"{plain[:40]}-{hashlib.sha256(step.encode()).hexdigest()[:6]}"


def _class_scenes(
    frame: Frame, plan: Plan, name: str, count: int, share: float, seed: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Return so many different scenes of a class, in a random order."""
    table = frame.spec.table
    held = {wire for group, wires in frame.groups.items() if group not in plan.free for wire in wires}
    assets = frame.assets[name]
    if CLASS in held:
        assets = assets[: max(1, round(share * len(assets)))]
    axes = {
        wire: narrowed(levels, table[wire], share) if wire in held and wire != CLASS else levels
        for wire, levels in frame.axes.items()
    }
    if CLASS in axes:
        axes[CLASS] = list(assets)
    linked = [_narrowed_rows(axis, held - {CLASS}, assets, share) for axis in frame.linked]
    own = int.from_bytes(hashlib.sha256(f"{seed}\0{plan.name}\0{name}".encode()).digest()[:7], "big")
    data = frame.spec.model_dump(mode="json")
    design = {key: data["design"][key] for key in ("only", "exclude")} | {
        "kind": "random", "factors": axes, "linked": linked,
    }  # fmt: skip
    for attempt in range(_TRIES):
        try:
            made = parse_spec(
                data | {"seed": own, "splits": {}, "design": {**design, "pictures": count * 2**attempt}}
            ).build()
        except SpecError as error:
            raise DatasetError(
                f"step '{plan.name}', class '{name}': {count:,} different scenes are needed: {error}. Give a number "
                'factor a range ({"from": …, "to": …}), let held factors keep more (--narrow 0.5), or use a smaller '
                "--budget"
            ) from None
        if made.count >= count:
            order = np.random.default_rng(own).permutation(made.count)[:count]
            return [dict(made.values(int(index))) for index in order]
    raise DatasetError(f"step '{plan.name}', class '{name}': the spec's 'only' and 'exclude' leave too few scenes")


def narrowed(levels: Any, factor: Factor, share: float) -> Any:
    """Return what remains of a factor's levels where it is held: those nearest to its default, or a part of a range.

    >>> from torchmultiverse.scenes import FACTORS
    >>> narrowed({"from": 0, "to": 360}, FACTORS["Camera_Yaw"], 0.1)
    {'from': -18.0, 'to': 18.0}
    >>> narrowed({"from": 0.5, "to": 1.5}, FACTORS["Character_Scale"], 0.1)
    {'from': 0.95, 'to': 1.05}
    >>> narrowed(["Desert", "Snow"], FACTORS["World_Name"], 0.1)
    ['Desert']
    """
    if isinstance(levels, Mapping):
        if {"step", "count"} & set(levels):
            return narrowed(_steps(levels, factor), factor, share)
        return _narrowed_range(levels, factor, share)
    if any(isinstance(level, Mapping) for level in levels):
        kept = next((level for level in levels if level == factor.default), levels[0])
        return narrowed(kept, factor, share) if isinstance(kept, Mapping) else [kept]
    values = [factor.canonical(level) for level in levels]
    numbers = all(isinstance(value, int | float) for value in values)
    mask = narrow_levels(np.array(values) if numbers else np.array(values, object), factor.wire, share)
    if not numbers:  # of words the first remain, the default before them
        keep = int(mask.sum())
        order = sorted(range(len(values)), key=lambda place: (values[place] != factor.default, place))
        return [levels[place] for place in sorted(order[:keep])]
    return [level for level, kept in zip(levels, mask.tolist(), strict=True) if kept]


def _steps(levels: Mapping[str, Any], factor: Factor) -> list[Any]:
    spec = parse_spec({"name": "levels", "design": {"kind": "factorial", "factors": _complete(factor, levels)}})
    return list(spec.build().levels()[factor.wire])


def _complete(factor: Factor, levels: Any) -> dict[str, Any]:
    return {"World_Name": ["any"], factor.wire: levels}


def _narrowed_range(levels: Mapping[str, Any], factor: Factor, share: float) -> dict[str, float]:
    low, high = float(levels["from"]), float(levels["to"])
    width = share * (high - low)
    usual = float(factor.default) if isinstance(factor.default, int | float) else (low + high) / 2
    turns = factor.period is not None and high - low >= factor.period
    if not turns:
        usual = min(max(usual, low + width / 2), high - width / 2)
    return {"from": round(usual - width / 2, 3), "to": round(usual + width / 2, 3)}


def _narrowed_rows(
    axis: Sequence[Mapping[str, Any]], held: set[str], assets: Sequence[str], share: float
) -> list[dict[str, Any]]:
    """Return the rows of a linked axis that remain: those of the assets, and of held factors the first levels."""
    rows = [dict(row) for row in axis if row.get(CLASS, assets[0]) in assets]
    for name in axis[0]:
        if name in held:
            levels = list(dict.fromkeys(str(row[name]) for row in rows))
            kept = set(levels[: max(1, round(share * len(levels)))])
            rows = [row for row in rows if str(row[name]) in kept]
    return rows


def rendered_step(
    spec: Spec, folder: Path, engine: str, size: int, per_class: int, quiet: bool
) -> tuple[StoredDataset, Drawn]:
    """Render what is missing of a step, and return its pictures, and which of them are for what.

    Args:
        spec: of the step, see `step_spec`.
        folder: of its dataset; one that was interrupted goes on.
        engine: as for `torchmultiverse.open_engine`.
        size: side of the pictures in pixels.
        per_class: pictures of a class to train on.
        quiet: show no progress.

    Raises:
        DatasetError: so many scenes of a class failed that too few are left.
    """
    generate(spec, folder, engine, size=size, progress=not quiet)
    images = open_dataset(folder)
    place = {name: row for row, name in enumerate(images.table(["scene_id"])["scene_id"].to_pylist())}
    by_class: dict[str, list[int]] = {}
    for scene in spec.build():
        if scene.scene_id in place:
            by_class.setdefault(said_name(str(scene[CLASS])), []).append(place[scene.scene_id])
    few = min(by_class, key=lambda name: len(by_class[name]), default="")
    if not by_class or len(by_class[few]) <= per_class:
        there = len(by_class[few]) if by_class else 0
        raise DatasetError(f"{folder}: of class '{few}' {there} pictures could be rendered, {per_class + 1} are needed")
    train = [row for rows in by_class.values() for row in rows[:per_class]]
    own = [row for rows in by_class.values() for row in rows[per_class:]]
    return images, Drawn(np.sort(np.array(train, np.int64)), np.sort(np.array(own, np.int64)))


Renderer = Callable[[Plan], tuple[StoredDataset, Drawn]]
"""From a step to its pictures."""
