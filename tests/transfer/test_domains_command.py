"""The command about domains on folders of pictures and drawn worlds, from the call to the page.

What could silently be wrong: a filter that holds out other rows than it names, a table of a run that was interrupted
and begun for another question, numbers of the page that are not those of the record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import run
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.report import load_record
from torchmultiverse.resources import data_folder
from torchmultiverse.store import ImageList
from torchmultiverse.study import Study
from torchmultiverse.transfer import DomainOptions, domain_study, measure_domains
from torchmultiverse.transfer import domain_findings as findings

pytest.importorskip("timm")

MODEL = "timm:resnet10t/random?size=32"


def picture(shape: int, ground: int, rng: np.random.Generator) -> Image.Image:
    """A square, a bar or a cross on a red, green or blue ground."""
    pixels = rng.integers(0, 40, (32, 32, 3), dtype=np.uint8)
    pixels[..., ground] += 120
    y, x = rng.integers(4, 14, 2)
    high, wide = ((12, 12), (4, 16), (16, 4))[shape]
    pixels[y : y + high, x : x + wide] = 230
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def drawn() -> ImageList:
    rng = np.random.default_rng(0)
    rows = [
        {"shape": ("square", "bar", "pole")[shape], "ground": ("red", "green", "blue")[ground],
         "light": ("bright", "dim")[k % 2]}
        for shape in range(3) for ground in range(3) for k in range(24)
    ]  # fmt: skip
    images = [picture(k // 72, k // 24 % 3, rng) for k in range(len(rows))]
    return ImageList(images, rows, "drawn")


@pytest.fixture(scope="module")
def folder(drawn: ImageList, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("folder")
    for k, row in enumerate(drawn.table().to_pylist()):
        place = made / row["ground"] / row["shape"]
        place.mkdir(parents=True, exist_ok=True)
        drawn.image(k).save(place / f"{k}.png")
    return made


def test_a_folder_of_pictures_from_the_command_to_the_page(
    folder: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: list[Any] = [
        "analyze", "domains", MODEL, "--data", folder, "--domain", "label", "--content", "folder_2", "--layer",
        "layer1.0", "--layer", "output", "--out", tmp_path / "out", "--features", tmp_path / "features",
    ]  # fmt: skip
    code, said, _ = run(capsys, monkeypatch, *call, "--format", "json")
    assert code == 0
    tables: dict[str, list[dict[str, Any]]] = {}
    for line in json.loads(said):
        tables.setdefault(line["section"], []).append(line["row"])
    assert [line["layer"] for line in tables["By layer"]] == ["layer1.0", "output"]
    assert tables["By layer"][0]["domain_told"] > 0.9  # the mean colour of a ground
    assert [line["not_trained_on"] for line in tables["Seen and unseen"]] == ["domains", "combinations"]
    assert {line["level"] for line in tables["By label"]} == {"red", "green", "blue"}
    assert [line["factor"] for line in tables["What leaks"]] == ["label"]
    assert [line["rho"] for line in tables["If they went together in training"]] == [0, 0.25, 0.5, 0.75, 1]
    assert {line["factor"] for line in tables["Domains that clusters find"]} == {"label", "folder_2"}
    record, _ = load_record(tmp_path / "out")
    assert isinstance(record, Study)
    assert record.kind == "domains"
    page = (tmp_path / "out" / "index.html").read_text()
    assert record.headline in page
    assert "PACS" in page
    assert "published" in page

    def none(*_: Any, **__: Any) -> Any:
        raise AssertionError("what was found is found again")

    for name in ("held_outcomes_in_turn", "domain_code", "correlated_accuracy", "cluster_score"):
        monkeypatch.setattr(findings, name, none)
    code, again, _ = run(capsys, monkeypatch, *call, "--format", "json")
    assert (code, again) == (0, said)


def asked(images: Any, **options: Any) -> findings.DomainFindings:
    return measure_domains(
        MODEL, images, DomainOptions(**{"content": "shape", "domain": "ground", "layers": ["output"], **options}),
        RunOptions(quiet=True),
    )  # fmt: skip


@pytest.mark.slow
def test_a_filter_holds_out_what_it_names(drawn: ImageList, folder: Path) -> None:
    found = asked(drawn, unseen="ground = red")
    assert found.kind == "domains"
    (level,) = found.layers[0].levels
    assert level.level == "red"
    assert found.combinations is not None
    pairs = asked(drawn, unseen="ground = red and shape in (bar)")
    assert (pairs.kind, pairs.combinations) == ("combinations", None)
    gap = pairs.layers[0].gap
    assert gap is not None
    assert (gap.folds, gap.chance) == (1, 1)  # bars alone are asked about
    there = asked(folder, content="folder_2", domain="label", unseen="label = red and folder_2 = bar").layers[0].gap
    assert there is not None
    assert (there.folds, there.chance) == (1, 1)
    record = domain_study(pairs)
    assert record.sections[0].title == "Seen and unseen"
    assert record.facts["unseen"] == "combinations"


@pytest.mark.slow
def test_clusters_can_be_the_domain_and_stand_against_what_is_known(drawn: ImageList) -> None:
    found = asked(drawn, domain="auto", clusters=3)
    assert (found.domain, found.domains) == ("pseudo_domain", 3)
    assert found.clusters is not None
    scores = {one.factor: one.score for one in found.clusters.factors}
    assert set(scores) == {"ground", "light", "shape"}
    assert scores["ground"].rand > 0.9
    assert scores["light"].p > 0.01
    assert found.clusters.best == "ground"
    shares = [one.share for one in found.clusters.kept]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.01)


def test_what_cannot_be_asked_is_said(drawn: ImageList, folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"no column 'grund'.*'ground'"):
        asked(drawn, domain="grund")
    with pytest.raises(SpecError, match=r"^--unseen: "):
        asked(drawn, unseen="ground in red")
    with pytest.raises(SpecError, match=r"unknown factor 'grund'.*ground"):
        asked(drawn, unseen="grund = red")
    with pytest.raises(DatasetError, match="no picture passes"):
        asked(drawn, unseen="ground = black")
    with pytest.raises(DatasetError, match="is the content"):
        asked(drawn, domain="shape")
    rows = [{**row, "name": row["shape"].upper()} for row in drawn.table().to_pylist()]
    same = ImageList([drawn.image(k) for k in range(len(rows))], rows, "same")
    found = asked(same, domain="name")
    assert found.layers[0].gap is None
    assert found.combinations is None
    assert any("one says the other" in note for note in found.notes)
    assert "name is told" in domain_study(found).headline


def test_published_numbers_have_the_trends_that_were_counted_in_the_source() -> None:
    """Silently wrong would be a column of the source's tables that was read as another one."""
    held = json.loads((data_folder("benchmarks") / "reference" / "ddm.json").read_text())
    tables = {table["title"].split(",")[0].split(" and")[0]: table["rows"] for table in held["tables"]}

    def gains(name: str) -> tuple[float, float, int, int]:
        """Return the mean gain on unseen and on seen domains, and how many cells gained of how many."""
        cells = [
            ("unseen" in domain or name == "WILDS", ours - base)
            for row in tables[name] for domain, (base, ours) in row["values"].items() if domain != "average"
        ]  # fmt: skip
        of = [[gain for is_unseen, gain in cells if is_unseen == which] for which in (True, False)]
        return (
            round(np.mean(of[0]), 2),
            round(np.mean(of[1]), 2) if of[1] else 0,
            sum(g > 0 for _, g in cells),
            len(cells),
        )

    assert gains("PACS") == (3.28, 1.19, 20, 24)
    assert gains("DomainNet") == (3.15, 1.66, 34, 36)
    assert gains("CIFAR-10")[:2] == (1.79, 0.90)
    assert gains("WILDS")[2:] == (24, 24)
    for name in ("PACS", "DomainNet"):
        for row in tables[name]:
            *domains, (base, ours) = row["values"].values()
            means = np.mean(domains, 0)
            printed = 84.89 if (name, row["model"]) == ("PACS", "DINO") else base
            assert means == pytest.approx((printed, ours), abs=0.02)
