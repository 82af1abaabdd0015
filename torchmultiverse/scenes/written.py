"""Where a spec writes a scene out, so that what is said of the scene names the place in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from torchmultiverse.scenes.factors import FactorTable, Value
from torchmultiverse.scenes.kinds import AnyDesign, DifferenceDesign, ExplicitDesign, Row, UnionDesign, VideoDesign
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.spec import Spec
from torchmultiverse.scenes.video import CLIP, FRAME, FRAME_TIME

_MOST_READ = 200_000
"""Scenes of a spec that are looked at."""
_Key = frozenset[tuple[str, Value]]


def written_scenes(spec: Spec) -> Iterator[tuple[str, Scene]]:
    """Yield what the explicit designs of a spec list: place and scene, a clip as it is at rest.

    >>> from torchmultiverse.scenes import parse_spec
    >>> scenes = [{"World_Name": "Desert"}, {"World_Name": "Snow", "Camera_Yaw": 90}]
    >>> [place for place, _ in written_scenes(parse_spec({"name": "two", "design": {"kind": "explicit", "scenes": scenes}}))]
    ['design.scenes[0]', 'design.scenes[1]']
    """  # noqa: E501
    for place, row, _ in _rows(spec.design, "design", frozenset()):
        yield place, Scene(row, spec.table, place)


def places_of(spec: Spec, scenes: Iterable[Scene]) -> dict[str, str]:
    """Return where a spec writes scenes out, by their id; those that it does not write out are left out.

    Args:
        spec: what the scenes are of.
        scenes: scenes of its design; frames of a clip are at the place of the clip.
    """
    found: dict[str, str] = {}
    asked = list(scenes)
    if not asked:
        return found
    keys: dict[frozenset[str], dict[_Key, str]] = {}
    for place, row, moving in islice(_rows(spec.design, "design", frozenset()), _MOST_READ):
        wires = frozenset(spec.table[name].wire for name in moving)
        said = {spec.table[name].wire: spec.table[name].canonical(value) for name, value in row.items()}
        keys.setdefault(wires, {}).setdefault(_key(said, wires, spec.table), place)
    for scene in asked:
        for wires, places in keys.items():
            said = {name: scene[name] for name in scene.wire}
            if at := places.get(_key(said, wires, spec.table)):
                frame = f", frame {scene[FRAME]}" if wires else ""
                found.setdefault(scene.scene_id, f"{at}{frame}")
    return found


def _key(values: Mapping[str, Value], moving: frozenset[str], table: FactorTable) -> _Key:
    """Return what tells a scene from others that are written out, apart from what moves in its clip."""
    still = moving | {CLIP, FRAME, FRAME_TIME} if moving else moving
    return frozenset((k, v) for k, v in values.items() if k not in still and v != table[k].default)


def _rows(design: AnyDesign, place: str, moving: frozenset[str]) -> Iterator[tuple[str, Row, frozenset[str]]]:
    """Yield place and scene of what is written out, and which factors move in it."""
    match design:
        case ExplicitDesign():
            for i, row in enumerate(design.scenes):
                yield f"{place}.scenes[{i}]", row, moving
        case UnionDesign():
            for i, one in enumerate(design.of):
                yield from _rows(one, f"{place}.of[{i}]", moving)
        case DifferenceDesign():
            yield from _rows(design.of, f"{place}.of", moving)
        case VideoDesign():
            yield from _rows(design.clips, f"{place}.clips", moving | frozenset(design.path))
        case _:
            return
