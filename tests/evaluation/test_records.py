"""Records of analyses. What could silently be wrong: a number that is written as another, one that is no number and is
read as zero, or a record of an older version that is read without some of its fields.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.documents import Document
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import (
    AcquisitionRecord,
    ComparisonRecord,
    EquivarianceRecord,
    GapRecord,
    HeldOutRecord,
    ParallelismFacts,
    Result,
)
from torchmultiverse.evaluation.acquisition import AcquisitionCell, AcquisitionPlan
from torchmultiverse.evaluation.attribution import GapExplanation, LevelContribution
from torchmultiverse.evaluation.comparison import Comparison, ModelRank
from torchmultiverse.evaluation.displacements import Parallelism
from torchmultiverse.evaluation.heldout import HeldOutResult

OLD = Path(__file__).parents[1] / "golden" / "records"


def _records() -> list[Document]:
    comparison = Comparison(
        "a", "b", "colour", "top1", "all", 10, 2, 0.1, -1.0, 1.0, 1, 2, 0.5, 0.5, math.inf, "exact McNemar"
    )
    cell = AcquisitionCell({"world_name": "Snow"}, 4, -0.25, 0.5, 12)
    by_change = np.array([[np.nan, 0.25], [0.25, np.nan]])
    moved = Parallelism("world_name", "image", math.nan, -1.0, 1.0, 2, 8, ("Desert", "Snow"), by_change, 0.125)
    held = HeldOutResult("world_name", ("Snow",), 0, 9, 3, 1.0, 0.5, 0.1, 0.9, math.nan, 0.0, 1.0,
                         {"Snow": (0.5, math.nan)})  # fmt: skip
    part = LevelContribution("world_name", "Snow", 4, 2, -0.5, -0.9, -0.1, -0.25, -0.125, 0.03)
    gap = GapExplanation("a", "b", "colour", "top1", True, -0.25, -0.5, 0.0, 2, [part], {"world_name": 0.125},
                         [("model.precision", "float32", "bfloat16")])  # fmt: skip
    return [
        ComparisonRecord(ranks=(ModelRank("a", 0.75, 1, 1, 2, "a"),), comparisons=(comparison,)),
        AcquisitionRecord(plan=AcquisitionPlan("a", "b", "colour", "top1", 0.1, 0.2, 99, 120, [cell]), filters=("x",)),
        EquivarianceRecord(models={"m": (ParallelismFacts.of(moved),)}),
        HeldOutRecord(results=(held,)),
        GapRecord(explanation=gap),
    ]


@pytest.mark.parametrize("record", _records(), ids=lambda record: type(record).__name__)
def test_a_record_is_read_as_it_was_written(record: Document, tmp_path: Path) -> None:
    path = record.save(tmp_path / "any name.json")
    again = type(record).load(path)
    assert repr(again) == repr(record), "words, since what is no number is not equal to itself"
    assert json.loads(path.read_text())["schema_version"] == record.version


def test_records_of_before_versions_have_all_that_they_had() -> None:
    """The golden tests compare numbers; here it is said under which name each of them is now."""
    gap = GapRecord.load(OLD / "analyses" / "why.json").explanation
    before = json.loads((OLD / "analyses" / "why.json").read_text())
    assert (gap.same_images, gap.composition) == (before["same_pictures"], before["shares"])
    assert [part.contribution for part in gap.parts] == [part["share"] for part in before["parts"]]
    plan = AcquisitionRecord.load(OLD / "analyses" / "next renders.json").plan
    before = json.loads((OLD / "analyses" / "next renders.json").read_text())
    assert (plan.power, plan.needed_uniform) == (before["p_now"], before["needed_evenly"])
    assert [cell.to_render for cell in plan.cells] == [cell["more"] for cell in before["cells"]]
    found = Result.load(OLD / "results")
    assert found.provenance.dataset.images == 288
    assert found.task("classification").readings, "label spaces of old results are not pooled either"
    assert found.task("classification").title == "Classification"


def test_a_newer_record_is_refused(tmp_path: Path) -> None:
    path = _records()[0].save(tmp_path / "new.json")
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 7'))
    with pytest.raises(DatasetError, match="schema version 7, and this version of torchmultiverse reads up to 1"):
        ComparisonRecord.load(path)
