"""Specs that ask for too much, and values that no factor takes.

Silently wrong would be a command that never answers, or ends in a traceback that names no place. The published configs
write numbers as strings; refused, they could not be rendered as they stand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import SpecError
from torchmultiverse.farm import dry_run
from torchmultiverse.scenes import LazyDesign, Scene, Spec, load_spec, parse_spec, parse_where, shipped_specs
from torchmultiverse.scenes.design import Factorial

LIMIT = 3.0
"""Seconds of this thread; what is tested takes a tenth of a second, and took minutes or all memory before."""


@contextmanager
def quick() -> Iterator[None]:
    start = time.thread_time()  # not of the process: threads that earlier tests left may work, too
    yield
    assert time.thread_time() - start < LIMIT


def shipped(name: str, **design: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(shipped_specs()[name].read_text())
    return {**data, "design": {**data["design"], **design}}


@pytest.mark.parametrize(
    ("name", "count"),
    [("animal_relations", 28 * (3 * 10 + 20 * 10**6)), ("animal_attributes", 53 * 4 + 2 * (53**2 * 10**6))],
)
def test_a_million_pairs_are_counted_and_not_made(name: str, count: int, tmp_path: Path) -> None:
    with quick():
        spec = parse_spec(shipped(name, pairs=10**6))
        assert abs(spec.build().count - count) <= 2 * 53 * 60, "the single ones may be other than here"
        forecast = dry_run(spec, MarkerEngine().catalogue())
        assert forecast.images == spec.build().count
        with pytest.raises(SpecError, match="scenes is too large for this; at most 5,000,000"):
            spec.build()[0]
    (tmp_path / "s.json").write_text(json.dumps(shipped(name, pairs=10**6)))
    said = CliRunner().invoke(
        app, ["render", str(tmp_path / "s.json"), "--out", str(tmp_path / "d"), "--engine", "inprocess", "--dry-run"],
        catch_exceptions=False,
    ).output  # fmt: skip
    assert f"{spec.build().count:,} pictures" in said
    assert "neither counted nor looked up" in " ".join(said.split())


def test_what_is_made_later_is_the_same() -> None:
    """The published AR4T designs are made when they are needed; their counts are known before."""
    spec = load_spec("ar4t_relations")
    design = spec.build()
    assert isinstance(design, LazyDesign)
    assert "explicit" not in vars(design)
    assert design.count == 112_840
    assert design.explicit.count == 112_840
    small = parse_spec(shipped("animal_relations", pairs=1)).build()
    assert small.count == 28 * (3 * 10 + 20)


def test_many_conditions_are_answered_or_refused() -> None:
    text = " and ".join(["Camera_Yaw != 7"] * 20_000)
    factors = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": {"from": 0, "to": 359, "step": 1}}
    with quick():
        assert len(parse_where(text)) == 20_000
        spec = parse_spec(
            {"name": "x", "design": {"kind": "factorial", "factors": factors, "exclude": ["Camera_Yaw = 7"]}}
        )
        assert spec.build().count == 718
        assert spec.build().where(parse_where(" and ".join(["Camera_Yaw != 9"] * 1000))).count == 716
    many = {"kind": "factorial", "factors": {**factors, "Camera_Pitch": list(range(60))}, "exclude": [text]}
    with quick(), pytest.raises(SpecError, match=r"20,000 conditions on 43,200 scenes are too many"):
        parse_spec({"name": "x", "design": many})
    with quick(), pytest.raises(SpecError, match="too many"):
        Factorial.of(factors).where(parse_where(text))


def test_long_axes_and_long_lists_of_levels() -> None:
    """A comparison of every row with every row took minutes at twenty thousand."""
    rows = [{"Character_Name": f"A{n}", "Camera_Yaw": n / 100} for n in range(20_000)]
    with quick():
        spec = parse_spec(
            {"name": "x", "design": {"kind": "factorial", "factors": {"World_Name": ["W"]}, "linked": [rows]}}
        )
        assert spec.build().count == 20_000
        values = ", ".join(str(n / 100) for n in range(20_000))
        assert spec.build().where(parse_where(f"Camera_Yaw in ({values})")).count == 20_000
    with pytest.raises(SpecError, match=r"linked\[0\]\[20000\] is the same as row 7"):
        parse_spec(
            {
                "name": "x",
                "design": {"kind": "factorial", "factors": {"World_Name": ["W"]}, "linked": [[*rows, rows[7]]]},
            }
        )
    angles = {"World_Name": ["W"], "Camera_Yaw": {"from": 0, "to": 359, "count": 40_000}}
    with quick():
        kept = {"kind": "factorial", "factors": angles, "exclude": ["Camera_Yaw < 180"]}
        assert 19_000 < parse_spec({"name": "x", "design": kept}).build().count < 21_000


def test_numbers_as_strings_are_numbers() -> None:
    """The published README sends ``"0.7"``."""
    config = {"World_Name": ["Desert"], "Character_Scale": ["0.7", "1.0", "1.3"], "Camera_Yaw": ["0", "45", "-45"]}
    design = parse_spec(config).build()
    assert design.levels()["Character_Scale"] == [0.7, 1, 1.3]
    assert design.levels()["Camera_Yaw"] == [0, 45, 315]
    assert (
        Scene({"World_Name": "W", "Camera_Yaw": "45"}).scene_id == Scene({"World_Name": "W", "Camera_Yaw": 45}).scene_id
    )
    with pytest.raises(SpecError, match="the same as"):
        parse_spec({**config, "Camera_Yaw": [45, "45"]})
    for bad in ("0,7", "nan", "inf", "", "1_000", "0x10", "٤٥", "1e400", "9" * 400):
        with pytest.raises(SpecError, match="Character_Scale"):
            parse_spec({**config, "Character_Scale": [bad]})


ODD = [None, 10**400, -(10**400), 10**18, [], [[]], {}, "", True, 1e308, [None], {"from": 0, "to": 10**400, "step": 1}]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    inner = list(value)[:3] if isinstance(value, dict) else range(min(1, len(value))) if isinstance(value, list) else ()
    for key in inner:
        yield from places(value[key], (*at, key))


def test_nulls_and_huge_integers_anywhere_get_a_message() -> None:
    for name in ("spar", "animal_attributes", "example_pug_config", "one_at_a_time"):
        text = shipped_specs()[name].read_text()
        for at in places(json.loads(text)):
            for odd in ODD:
                data = json.loads(text)
                inner = data
                for key in at[:-1]:
                    inner = inner[key]
                if at:
                    inner[at[-1]] = odd
                with suppress(SpecError):  # any other exception is what must not be
                    assert isinstance(parse_spec(data if at else odd), Spec)


def test_integers_that_python_does_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.json"
    file.write_text('{"World_Name": ["Desert"], "Camera_Yaw": [' + "9" * 5000 + "]}")
    with pytest.raises(SpecError, match=r"huge\.json: Exceeds the limit"):
        load_spec(file)
    with pytest.raises(SpecError, match="no length of an edge"):
        parse_spec(shipped("animal_attributes", attributes={"big": 10**400}))
