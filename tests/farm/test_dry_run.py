"""A plan that counts wrongly costs GPU-hours; one that expands a huge design never answers."""

from __future__ import annotations

import io
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from engines import Faulty
from rich.console import Console
from waiting import eventually

from torchmultiverse.engines import Catalogue, Failure, Frame, RenderOptions
from torchmultiverse.errors import SpecError
from torchmultiverse.farm import dry_run, generate
from torchmultiverse.farm.estimate import DryRun, Limited, default_cost, select
from torchmultiverse.scenes import FACTORS, Factorial, Scene, parse_spec

MARKER = Faulty().catalogue()
SPEC = {"World_Name": ["Desert", "Snow"], "Character_Name": ["blank", "Zebra"], "Camera_Yaw": list(range(0, 50, 5))}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))


def text_of(what: object) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


def test_counts_are_those_of_the_scenes() -> None:
    forecast = dry_run(parse_spec(SPEC), MARKER, where="Camera_Yaw < 10")
    assert forecast.images == 8
    assert forecast.counts["World_Name"] == {"Desert": 4, "Snow": 4}
    assert forecast.bytes > 0
    assert forecast.seconds > 0
    assert "a guess" in text_of(forecast)


def test_the_first_scenes_of_a_product_are_counted_without_going_through_them() -> None:
    rng = random.Random(0)
    for _ in range(40):
        sizes = [rng.randint(1, 4) for _ in range(3)]
        linked = [{"Character1_Pos": "left", "Camera_Roll": 1}, {"Character1_Pos": "right", "Camera_Roll": 2}]
        design = Factorial.of(
            {"World_Name": [f"W{i}" for i in range(sizes[0])], "Camera_Yaw": list(range(sizes[1]))},
            [linked[: 1 + sizes[2] % 2]],
            FACTORS,
        )
        limit = rng.randint(1, design.count + 2)
        seen: dict[str, Counter] = {name: Counter() for name in design.factors}
        for scene in itertools.islice(design, limit):
            for name in seen:
                seen[name][scene[name]] += 1
        assert Limited(design, limit).level_counts() == {name: dict(per) for name, per in seen.items()}


def test_a_product_of_billions_is_planned_at_once() -> None:
    spec = parse_spec({"World_Name": ["Desert"], **{
        f"{what}_{axis}": list(range(360)) for what in ("Camera", "Character_Rotation") for axis in ("Yaw", "Pitch")
    }})  # fmt: skip
    whole = dry_run(spec, MARKER)
    assert whole.images == 360**4
    assert whole.counts["Camera_Yaw"][7] == 360**3
    assert "16,796,160,000 pictures" in text_of(whole)
    some = dry_run(spec, MARKER, limit=10**9)
    assert some.images == 10**9
    assert sum(some.counts["Camera_Pitch"].values()) == 10**9


def test_problems_are_named_before_anything_is_rendered() -> None:
    passes = Catalogue(**{**MARKER.model_dump(), "passes": ["rgb"]})
    spec = parse_spec(
        {
            "name": "x",
            "design": {"kind": "factorial", "factors": {"World_Name": ["Dessert"]}},
            "render": {"passes": ["rgb", "depth"]},
        }
    )
    forecast = dry_run(spec, passes)
    assert len(forecast.problems) == 2
    assert "Did you mean 'Desert'" in forecast.problems[0]
    assert "cannot render depth" in forecast.problems[1]
    assert "every level is in" not in text_of(forecast)
    with pytest.raises(SpecError, match="no scene"):
        select(parse_spec(SPEC), "Camera_Yaw = 1")
    with pytest.raises(SpecError, match="limit = 0"):
        select(parse_spec(SPEC), None, 0)


def test_the_rate_comes_from_a_probe_or_from_the_last_run(tmp_path: Path) -> None:
    spec = parse_spec(SPEC)
    probed = dry_run(spec, MARKER, size=48, probe=Faulty(delay=0.05))
    assert "some scenes" in probed.source
    assert 0 < probed.throughput < 20, "each takes 0.05 s at least"
    assert probed.bytes < dry_run(spec, MARKER, size=48).bytes, "a test card is smaller than a rendered picture"
    generate(SPEC, tmp_path / "d", lambda: Faulty(delay=0.01), size=48, progress=False)
    seen = dry_run(spec, MARKER, size=48)
    assert seen.source == "measured here"
    assert 0 < seen.throughput < 100
    assert dry_run(spec, MARKER, size=48, workers=2).source == "measured here with one worker"
    assert "a guess" in dry_run(spec, MARKER, size=64).source


@pytest.mark.parametrize(
    ("side", "samples", "cpu"), [(64, 4, 0.077), (64, 16, 0.103), (128, 16, 0.254), (256, 4, 0.434), (256, 16, 0.85)]
)
def test_the_guess_is_near_what_was_measured(side: int, samples: int, cpu: float) -> None:
    """Two cores need between half of a picture's CPU time (docs/measured.md) and all of it. A guess by pixels and
    samples alone was an eighth of that for small pictures."""
    options = RenderOptions(size=(side, side), samples=samples)
    assert cpu / 2 <= default_cost(options).image <= cpu


class Slow(Faulty):
    """Test cards of an engine that loads a world for half a second."""

    world = None

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            start = time.perf_counter()
            if scene["World_Name"] != self.world:
                self.world = scene["World_Name"]
                time.sleep(0.5)
            loading = time.perf_counter() - start
            for frame in super().render([scene], options):
                assert isinstance(frame, Frame)
                frame.timings["world_ms"] = loading * 1000
                yield frame


def test_worlds_are_paid_for_once_however_many_pictures_they_have(tmp_path: Path) -> None:
    """Wrong would be: half a second for each of a million pictures because a short run had a world for every two."""
    few = {"World_Name": ["Desert", "Snow", "Museum"], "Camera_Yaw": [0, 1]}
    many = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": list(range(360)), "Camera_Pitch": list(range(360))}
    runs = itertools.count()

    def measured() -> DryRun:
        generate(few, tmp_path / str(next(runs)), Slow, size=48, progress=False)
        return dry_run(parse_spec(many), MARKER, size=48)

    def probed() -> DryRun:
        return dry_run(parse_spec(many), MARKER, size=48, probe=Slow())

    def paid_once(forecast: DryRun) -> bool:
        assert forecast.overhead >= 2 * 0.5
        assert forecast.seconds == forecast.overhead + forecast.images / forecast.throughput
        return 1 / forecast.throughput < 0.15

    # The pictures themselves take some milliseconds, but where a busy machine lets one wait for long.
    assert eventually(lambda: paid_once(measured()))
    assert eventually(lambda: paid_once(probed()))
