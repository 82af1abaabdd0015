"""Golden tests: of every page and JSON record the numbers, not the words; and every old record still loads.

What could silently be wrong: a page that is written by other code shows another number, an interval's ends are
exchanged, a table loses rows; a record that an older version wrote is refused, or read with other values.

A row of a table stays together, and the ends of an interval keep their order; columns and rows may change theirs.

Each page is made from a small fixed input, or from a saved record that an older version wrote (``records``), and its
numbers are compared with ``pages.json``; so are those of the JSON, CSV, markdown and LaTeX beside it. Where names move,
`reach_pages` follows; neither the values nor these tests change. Values that are meant to change are written anew by
``renew_pages.py``.

Every page and record, who writes it, and whether it is held here:

=======================================  ==================================================  =========================
page or record                           written by                                          held by
=======================================  ==================================================  =========================
results.json, results/rows/factors       evaluate.result.Result.save (`eval`)                evaluation, computed;
.parquet, provenance.json, pictures/                                                         old results
index.html, leaderboard.md, .tex,        report.page.report (`report`)                       evaluation;
results.csv                                                                                  evaluation of captions
explore.html, tiles/                     report.explore.explore (`report`)                   the same (not its tiles)
model card (markdown)                    report.modelcard.write_card (`card`)                model card
leaderboard entry (JSON)                 evaluate.submission.save (`leaderboard submit`)     leaderboard entry; an old
compare, slices, why, next-renders,      cli.comparing._save (`--save`) of evaluate.compare  the same names
interactions, correlate (JSON, printed)  slices, why, separate, insight, reference
counterfactuals (JSON, printed)          cli.counterfactual of evaluate.counterfactual       counterfactuals
equivariance (JSON)                      cli.equivariance of evaluate.equivariance           equivariance
sensitivity (JSON)                       cli.training of evaluate.sensitivity                sensitivity
held-out conditions (JSON)               cli.training of evaluate.heldout                    old record
smallest design (spec as JSON)           cli.planning of farm.power (`plan`)                 power
analysis.json, index.html, depths, cuts  analyze.analysis.Analysis.save (`analyze`);         probes and geometry; saved
levels, budgets, geometry, classes,      page: report.analysis.analysis_page                 analysis
answers.csv
dejavu.json, classes.csv, answers.csv,   analyze.memory.Memory.save (`dejavu score`);        saved memory; saved memory
index.html                               page: report.memory.memory_page                     of one model; memory of
                                                                                             planted features
sweep.json, sweep.csv, index.html        analyze.sweep.Sweep.save (`dejavu sweep`);          saved sweep
                                         page: report.sweep.sweep_page
guillotine.json, .csv, index.html        analyze.misalignment.Misalignment.save              saved misalignment; gaps
                                         (`guillotine`); page: report.misalignment
rcdm.json, index.html                    analyze.portraits.Portrait.save (`rcdm score`);     saved portrait; planted
                                         page: report.portrait.portrait_page               portrait
studies.json, NAME.png, index.html       analyze.studies.Studies.save (`rcdm study`);        saved studies; studies with
                                         page: report.studies.studies_page                   captions
sets.json                                analyze.withheld.Sets.save (`dejavu split`)         old sets
encoder: config.json, model.pt,          analyze.ssl.train_encoder (`ssl`)                   old encoder
epoch-NNNNN.pt, losses.csv, sets.json
decoder: config.json, model.pt,          analyze.rcdm.Decoder.save, analyze.portraits.train  old decoder
learnt.npy                               (`rcdm train`)
small CLIP: config.json, model.pt        models.tiny.save (`train`, `finetune`)              old CLIP, trained and tuned
finetune.json                            models.finetune._save (`finetune` of open_clip)     no: needs a published model
vectors of a model (JSON)                models.selftest.check_model (`models check`)        no: another model's weights
samples.png, slices.png, pairs.png       cli.rcdm, evaluate.gallery                          no: pictures, not numbers
=======================================  ==================================================  =========================
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reach_pages as reach
import shown_numbers
from PIL import Image
from renew_pages import GOLDEN, numbers_of

KNOWN: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text())
RECORDS = reach.RECORDS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden") / "shared"


@pytest.mark.parametrize("name", reach.MAKERS)
def test_a_page_and_its_records_show_the_same_numbers_as_before(name: str, shared: Path, tmp_path: Path) -> None:
    found = numbers_of(name, shared, tmp_path / "out")
    assert found.keys() == KNOWN[name].keys()
    wrong = {what: shown_numbers.difference(golden, found[what]) for what, golden in KNOWN[name].items()}
    assert not any(wrong.values()), {what: said for what, said in wrong.items() if said}


def test_nothing_is_known_that_is_not_made() -> None:
    assert set(KNOWN) == set(reach.MAKERS)


def _holds(record: Any, golden: list[list[float]]) -> None:
    """Check that a record has at least these numbers: it may have gained some since."""
    found = Counter({value: int(count) for value, count in shown_numbers.runs(shown_numbers.of_values(record))})
    lost = Counter({value: int(count) for value, count in golden}) - found
    assert not lost


@pytest.mark.parametrize("path", sorted((RECORDS / "analyses").glob("*.json")), ids=lambda path: path.stem)
def test_an_old_record_loads_with_its_numbers(path: Path) -> None:
    _holds(reach.load_record(path), KNOWN[path.stem]["record"])


@pytest.mark.parametrize(
    ("name", "file"),
    [("saved memory", "memory/dejavu.json"), ("saved memory of one model", "memory_alone/dejavu.json"),
     ("saved portrait", "portrait/rcdm.json"), ("saved studies", "studies/studies.json"),
     ("saved sweep", "sweep/sweep.json"), ("saved misalignment", "misalignment/guillotine.json"),
     ("saved analysis", "analysis/analysis.json")],
)  # fmt: skip
def test_an_old_analysis_loads_with_its_numbers(name: str, file: str) -> None:
    _holds(reach.load_record(RECORDS / file), KNOWN[name]["record"])


def test_old_results_load_with_their_numbers() -> None:
    found = reach.load_results(RECORDS / "results")
    _holds(found["table"], KNOWN["evaluation, computed"]["record"])
    assert found["models"] == ["good", "as good", "no Snow", "no Snow at 90"]
    assert (len(found["table"]), len(found["rows"])) == (72, 1152)
    right = Counter(row["model"] for row in found["rows"] if row["correct"] == 1)
    assert right == {"good": 260, "as good": 249, "no Snow": 177, "no Snow at 90": 261}
    assert (found["pictures"], found["factors"]) == (19, [288, 4])


def test_an_old_leaderboard_entry_loads_and_still_fits_its_results() -> None:
    entry = reach.load_submission(RECORDS / "results" / "entry.json")
    _holds(entry, KNOWN["leaderboard entry"]["record"])
    assert reach.failed_checks(RECORDS / "results" / "entry.json", RECORDS / "results") == []


def test_old_sets_load_with_their_rows() -> None:
    found = reach.load_sets(RECORDS / "sets" / "sets.json")
    assert found == {
        "A": [6, 7, 10, 12, 14, 17, 18, 28, 29], "B": [1, 2, 8, 9, 13, 15, 19, 21, 26], "shared": [5, 25, 27],
        "public": [3, 4, 11, 16, 23, 24], "held out": [0, 20, 22],
    }  # fmt: skip


def _checkpoint(record: str, folder: Path) -> Path:
    """Return a training's folder as an older version left it, with weights of our own in a file of its layout.

    The files themselves are megabytes; their layout (names, shapes and types of tensors) is what a loader must read.
    """
    torch = pytest.importorskip("torch")
    folder.mkdir(exist_ok=True)
    for file in (RECORDS / record).iterdir():
        if file.name != "layout.json":
            (folder / file.name).write_bytes(file.read_bytes())
    rng = np.random.default_rng(len(record))

    def filled(layout: Any) -> Any:
        if isinstance(layout, dict):
            return {name: one(name, part) if isinstance(part, list) else filled(part) for name, part in layout.items()}
        raise AssertionError(layout)

    def one(name: str, layout: list[Any]) -> Any:
        shape, kind = layout
        values = (2 * rng.random(shape) - 1) * np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        if name.endswith("running_var") or name == "spread" or (name.endswith("weight") and len(shape) == 1):
            values = 1 + 0.1 * values  # of norms
        elif len(shape) < 2:
            values = 0.1 * values
        return torch.from_numpy(np.asarray(values)).to(getattr(torch, kind))

    held = filled(json.loads((RECORDS / record / "layout.json").read_text()))
    for name in ("model.pt", "epoch-00001.pt"):
        torch.save(held, folder / name)
    return folder


def _pictures(size: int) -> list[Image.Image]:
    rows, columns = np.mgrid[0:size, 0:size]
    waves = [127.5 + 127.5 * np.sin(rows / k) * np.cos(columns / (k + 3)) for k in (3, 5, 9)]
    pixels = np.stack(waves, -1).astype(np.uint8)
    return [Image.fromarray(pixels), Image.fromarray(255 - pixels.transpose(1, 0, 2))]


def _agrees(name: str, found: np.ndarray) -> None:
    known = json.loads((RECORDS / "vectors.json").read_text())[name]
    assert list(found.shape) == known["shape"]
    some = found.reshape(len(found), -1)[:, :8]
    np.testing.assert_allclose(some, known["some"], rtol=1e-3, atol=1e-4 * np.abs(known["some"]).max())


@pytest.mark.parametrize("end", ["", "@1"])
def test_an_old_encoder_loads_and_sees_the_same(end: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    _agrees("ssl", reach.encoder_vectors(f"ssl:{_checkpoint('ssl', tmp_path / 'e')}{end}", _pictures(32)))


@pytest.mark.parametrize("which", ["tiny", "tuned"])
def test_an_old_clip_loads_and_sees_the_same(which: str, tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    _agrees(which, reach.encoder_vectors(f"tiny:{_checkpoint(which, tmp_path / 'e')}", _pictures(64)))


def test_an_old_decoder_loads_and_draws_the_same(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    vectors = np.sin(np.arange(2 * 512, dtype=np.float32)).reshape(2, 512)
    drawn = reach.drawn_pixels(_checkpoint("decoder", tmp_path / "d"), vectors)
    known = json.loads((RECORDS / "vectors.json").read_text())["decoder"]
    assert list(drawn.shape) == known["shape"]
    off = drawn.reshape(len(drawn), -1).astype(int) - np.array(known["some"], int)
    assert np.abs(off).max() <= 2  # of 255: the last bits of twenty steps, and rounding
