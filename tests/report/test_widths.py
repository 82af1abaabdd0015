"""Every kind of page at the width of a laptop and of a phone. What could silently be wrong: a page that scrolls
sideways as a whole, a label of a chart that its box cuts off, names cut to the same beginning; no number shows it.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import six_models
from browser import CHROMIUM, browser

from torchmultiverse.analyze import Experiments
from torchmultiverse.analyze.experiment import experiment, image_row
from torchmultiverse.assets.library import Item
from torchmultiverse.assets.page import turntable_page
from torchmultiverse.images import jpeg
from torchmultiverse.models.diffusion import DecoderConfig
from torchmultiverse.report import load_record, write_report
from torchmultiverse.scenes import LIGHTS
from torchmultiverse.study import Bar, BarChart, Cell, Heatmap, LineChart, Point, ScatterChart, Section, Series, Study

RECORDS = Path(__file__).parents[1] / "golden" / "records"
LONGER = {
    "trunk": "visual.transformer.resblocks.10.attn.out_proj", "head.1": "visual.transformer.resblocks.11.ln_2",
    "head.2": "visual.transformer.resblocks.11.mlp.c_proj", "colour": "supervised, colour as the label of each",
    "ssl:A": "ssl:/home/somebody/experiments/2024-11-encoders/resnet50-barlow-twins", "cherry": "black_footed_ferret",
}  # fmt: skip
WIDTHS = ((1366, 768), (390, 844))

_LOOK = """(() => {
  document.querySelectorAll('details').forEach((one) => { one.open = true; });
  const inside = (a, b) =>
    a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const name = (one) => `${one.tagName} ${one.getAttribute('class') ?? ''}: ${one.textContent.slice(0, 60)}`;
  const boxed = (one) => one.getBoundingClientRect();
  return JSON.stringify({
    width: document.scrollingElement.scrollWidth,
    labels: [...document.querySelectorAll('svg text')]
      .filter((one) => boxed(one).width && !inside(boxed(one), boxed(one.ownerSVGElement))).map(name),
    squeezed: [...document.querySelectorAll('body *')]
      .filter((one) => !one.childElementCount && !one.closest('svg') && one.textContent.trim().length > 3)
      .filter((one) => boxed(one).width
        && boxed(one).width < 1.6 * parseFloat(getComputedStyle(one).fontSize)).map(name),
    cut: [...document.querySelectorAll('td, th')]
      .filter((one) => getComputedStyle(one).overflow === 'hidden'
        && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1)).map(name),
  });
})()"""
_THERE = """document.readyState === 'complete'
  && (!document.querySelector('noscript') || 'ready' in document.documentElement.dataset)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a page of every kind in a folder of its own."""
    out = tmp_path_factory.mktemp("pages")
    write_report(six_models.classification(), out / "classification")
    write_report(six_models.captions(), out / "captions")
    for kind in ("analysis", "memory", "misalignment", "portrait", "studies", "sweep"):
        folder = out / "records" / kind
        shutil.copytree(RECORDS / kind, folder)
        for path in folder.glob("*.json"):
            text = path.read_text()
            for short, long in LONGER.items():
                text = text.replace(f'"{short}"', f'"{long}"')
            path.write_text(text)
        write_report(load_record(folder)[0], out / kind)
    drawn = np.zeros((8, 8, 3), np.uint8)
    rows = [image_row(f"row {k} of several", (drawn,), (drawn,) * 3, ["0.25", "0.5", "0.75"]) for k in range(2)]
    shown = (experiment("certainty", "How sure", "It says.", rows, [{"step": 1, "moved by %": 0.137}]),)
    write_report(
        Experiments(config=asdict(DecoderConfig(size=8, features=12)), dataset="planted", experiments=shown),
        out / "experiments",
    )
    asset = Item(
        name="Triceratops_with_a_name_that_goes_on_and_on_and_on", kind="character", display_name="Triceratops",
        license="CC-BY-SA-3.0", source="https://example.org/a/path/without/any/spaces/art/meshes/skeletal/animal.dae",
    )  # fmt: skip
    picture = jpeg(six_models.picture(7), 80)
    (out / "assets").mkdir()
    (out / "assets" / "index.html").write_text(turntable_page("a pack", 1, [(asset, [picture] * 8)]))
    write_report(_study(), out / "study")
    return out


def _study() -> Study:
    """Return a study with each kind of chart, with names as long as those of real layers and models."""
    layers = [f"visual.transformer.resblocks.{k}.attn.out_proj" for k in range(12)]
    models = ("timm:vit_base_patch16_clip_224.openai_ft_in12k_in1k", "hf-image:facebook/dinov2-base-imagenet1k-1-layer")
    line = tuple(Series(name=m, points=tuple(Point(x=n, y=0.5) for n in layers)) for m in models)
    bars = tuple(Bar(name=f"impulse_noise, {m}", value=0.4, low=0.3, high=0.5, group=m) for m in models)
    dots = (Series(name="layers", points=tuple(Point(x=k / 9, y=0.1, label=n) for k, n in enumerate(layers[:8]))),)
    grid = Heatmap(title="g", rows=models, columns=tuple(layers), values=((0.5,) * 12,) * 2)
    table: tuple[dict[str, Cell], ...] = tuple(
        {"layer": n, "accuracy %": 0.5, "low %": 0.4, "high %": 0.6, "n": 10} for n in layers * 3
    )
    sections = (
        Section(title="By layer", charts=(LineChart(title="l", x="layer", y="accuracy", series=line),), table=table),
        Section(title="Errors", charts=(BarChart(title="b", y="error", bars=bars),), table=table[:3]),
        Section(title="Two", charts=(ScatterChart(title="s", x="a", y="b", series=dots), grid)),
    )
    return Study(kind="domains", title="Long names", headline=f"{models[0]} reads it.", dataset="toy", models=models,
                 sections=sections)  # fmt: skip


async def _looked_at(files: list[Path], profile: Path) -> dict[tuple[str, int], dict[str, Any]]:
    found = {}
    async with browser(profile) as page:
        for width, height in WIDTHS:
            await page.call("Emulation.setTouchEmulationEnabled", enabled=width < 500)
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 500,
            )
            for file in files:
                address = f"{file.as_uri()}?{width}"
                await page.call("Page.navigate", url=address)
                await page.until(f"location.href === '{address}' && {_THERE}")
                found[f"{file.parent.name}/{file.name}", width] = json.loads(await page.value(_LOOK))
        assert not page.problems
    return found


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium binary on this machine")
def test_no_page_scrolls_sideways_and_no_label_or_name_is_cut(pages: Path, tmp_path: Path) -> None:
    files = sorted(pages.glob("*/*.html"))
    assert len(files) == 13
    found = asyncio.run(_looked_at(files, tmp_path / "profile"))
    assert len(found) == 26
    # The width that was asked for: a phone makes its window as wide as the page where the page is wider.
    assert {at: one["width"] for at, one in found.items() if one["width"] > at[1]} == {}
    assert {at: one["labels"] for at, one in found.items() if one["labels"]} == {}
    assert {at: one["squeezed"][:5] for at, one in found.items() if one["squeezed"]} == {}
    assert {at: one["cut"][:5] for at, one in found.items() if one["cut"]} == {}


def test_levels_are_called_by_their_names(pages: Path) -> None:
    # The table of all numbers is that of the files beside the page, whose levels are those of the dataset.
    page = (pages / "classification" / "index.html").read_text().split('<section id="numbers">')[0]
    assert LIGHTS["red"] not in page
    assert "scene_light=red" in page  # a link to the answers there
    text = re.search(
        r'<script id="data"[^>]*>([^<]*)</script>', (pages / "classification" / "explore.html").read_text()
    )
    assert text is not None
    carried = json.loads(gzip.decompress(base64.b64decode(text[1])))
    assert [one["words"] for one in carried["factors"] if one["name"] == "scene_light"] == [["red", "white"]]


def test_a_picture_that_is_read_in_three_ways_is_counted_once(pages: Path) -> None:
    page = (pages / "classification" / "index.html").read_text()
    assert set(re.findall(r"undecided between equal scores on \d+ of (\d+) pictures", page)) == {"300"}


def test_answers_of_a_classifier_without_names_are_called_as_imagenet_does() -> None:
    rows = six_models.classification().rows.select(["model", "prediction"]).to_pylist()
    said = {row["prediction"] for row in rows if "timm" in row["model"]}
    assert len(said) > 100
    assert not any(word.isdigit() for word in said)
