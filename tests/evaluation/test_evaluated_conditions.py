"""Results over conditions. What could silently be wrong: ``own``, which is null in datasets, left out of tables, or a
curve whose levels are in the order of their letters, so that accuracy seems to jump where fog only grows denser.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.evaluation import Result, RowView, evaluate, factor_scores
from torchmultiverse.evaluation.classification import varied_factors
from torchmultiverse.models import as_model
from torchmultiverse.report import load_record, write_report
from torchmultiverse.report.level_curve import level_curve
from torchmultiverse.store import ImageList, columns_of

LEVELS = (120.0, None, 15.0, 30.0, 1000.0)
ROWS = [
    {"character_name": name, "world_name": world, "fog_visibility": fog, "rain": rain, "overcast": None}
    for name in ("Lion", "Zebra") for world in ("A", "B") for fog in LEVELS for rain in (0.0, 20.0)
]  # fmt: skip


def model(images: Any) -> Any:
    """Sees nothing in fog of less than 100 m, nor in rain."""
    seen = [ROWS[image.getpixel((0, 0))[0]] for image in images]
    lost = [row["rain"] > 0 or (row["fog_visibility"] or 1e9) < 100 for row in seen]
    right = [int(row["character_name"] == "Zebra") for row in seen]
    return np.eye(2, dtype=np.float32)[[1 - one if blind else one for one, blind in zip(right, lost, strict=True)]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("conditions")
    pictures = ImageList([Image.new("RGB", (4, 4), (index, 0, 0)) for index in range(len(ROWS))], ROWS, name="fog")
    evaluate(pictures, as_model(model, name="m", classes=["lion", "zebra"]), out=folder / "results")
    page = write_report(load_record(folder / "results")[0], folder / "page")
    return Result.load(folder / "results"), page


def test_null_is_own_in_tables_and_levels_are_in_order(made: tuple[Result, Path]) -> None:
    result, _ = made
    cells = {(cell["factor"], cell["level"]): cell for cell in result.cells() if cell["factor"] != "all"}
    fog = {level: cell["accuracy"] for (factor, level), cell in cells.items() if factor == "fog_visibility"}
    assert fog == {"own": 0.5, "15": 0, "30": 0, "120": 0.5, "1000": 0.5}
    assert cells["fog_visibility", "own"]["n"] == 8
    assert {level for factor, level in cells if factor == "rain"} == {"0", "20"}
    view = RowView(result)
    found = {score.factor: score for score in factor_scores(view, "m", view.questions[0])}
    assert [score.level for score in found["fog_visibility"].levels] == ["own", "15", "30", "120", "1000"]
    assert found["fog_visibility"].default is not None
    assert found["fog_visibility"].default.level == "own"
    assert found["rain"].default is not None
    assert found["rain"].default.level == "0"
    assert found["rain"].worst.level == "20"
    assert "overcast" not in found, "it does not vary"
    assert result.provenance.dataset.levels["fog_visibility"] == ["own", "15", "30", "120", "1000"]


def test_the_reference_of_a_condition_is_its_default() -> None:
    rows = [{"rain": rain, "fog_visibility": fog} for rain, fog in ((0.0, None), (5.0, None), (9.0, None), (0.0, 30.0))]
    columns = columns_of(ImageList([Image.new("RGB", (4, 4))] * 4, rows))
    tells = {name: told.tolist() for name, told in varied_factors(columns).items()}
    assert tells == {"rain": [True, True, True, False], "fog_visibility": [True, False, False, True]}


def test_pages_show_units_and_own_apart(made: tuple[Result, Path]) -> None:
    _, page = made
    text = page.read_text("utf-8")
    assert "fog visibility (m)" in text
    curve = re.search(r'<svg class="curves level" role="img" aria-label="([^"]*)"', text)
    assert curve is not None
    assert curve[1] == "m: own 50 %, 15 0 %, 30 0 %, 120 50 %, 1000 50 %"
    assert "fog visibility (m), logarithmic" in text
    explorer = (page.parent / "explore.html").read_text("utf-8")
    packed = re.search(r'id="data"[^>]*>([^<]+)<', explorer)
    assert packed is not None
    factors = {one["name"]: one for one in json.loads(gzip.decompress(base64.b64decode(packed[1])))["factors"]}
    assert factors["fog_visibility"]["title"] == "fog visibility (m)"
    assert set(factors["fog_visibility"]["words"]) == {"own", "15", "30", "120", "1000"}
    assert factors["rain"]["title"] == "rain (mm/h)"


def test_numbers_of_an_axis_stand_to_scale() -> None:
    cells = [{"accuracy": 0.5, "low": 0.4, "high": 0.6, "chance": 0.1}] * 4

    def places(*levels: str) -> list[float]:
        drawn = level_curve(levels, [(0, "m", cells[: len(levels)])], "x")
        return [float(x) for x in re.findall(r'<circle [^>]*cx="([\d.]+)"', drawn)]

    one, two, three = places("0", "50", "150")
    assert (two - one) / (three - one) == pytest.approx(1 / 3, abs=0.01)
    one, two, three = places("10", "100", "1000")
    assert (two - one) / (three - one) == pytest.approx(1 / 2, abs=0.01)
    own, one, *_ = places("own", "10", "100", "1000")
    assert one - own > 20


def test_a_probe_reads_own_as_a_level_before_the_numbers() -> None:
    rows = [{"fog_visibility": fog, "sun_azimuth": float(k)} for k, fog in enumerate(LEVELS * 20)]
    columns = columns_of(ImageList([Image.new("RGB", (4, 4))] * len(rows), rows))
    target = factor_target(columns, "fog_visibility")
    assert target.levels == ("own", "15", "30", "120", "1000")
    assert target.codes[:5].tolist() == [3, 0, 1, 2, 4]
    turn = factor_target(columns, "sun_azimuth")
    assert turn.numbers is not None
    assert turn.numbers.shape == (100, 2), "a direction is a sine and a cosine"
