"""What could silently be wrong: a page that lacks or rounds away a number, needs the network, shows another picture's
caption, or lets a name run as HTML."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from planted import drawn_spar

from torchmultiverse.evaluation import Result, evaluate
from torchmultiverse.evaluation.ranking import LeaderboardRow, leaderboard_rows, percent
from torchmultiverse.models import HistogramBaseline
from torchmultiverse.report import load_record, markdown, write_report
from torchmultiverse.report.page import headline


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("report")
    pictures = drawn_spar(32)
    models = [
        HistogramBaseline.fit(drawn_spar(32, seed=1)),
        HistogramBaseline.fit(drawn_spar(32, seed=2), ridge=100, name="<script>alert(1)</script> & co"),
    ]
    evaluate(pictures, models, out=folder / "results")
    page = write_report(load_record(folder / "results")[0], folder / "page")
    return Result.load(folder / "results"), page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.bad: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "wbr", "line", "circle", "rect", "path", "link"}:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(tag)

    def handle_data(self, data):
        if "td" in self.open and self.cells:
            self.cells[-1] += data.strip()


def _parsed(page: Path) -> _Tags:
    tags = _Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert not tags.bad, "the page is not well formed"
    assert not tags.open
    return tags


def test_the_page_holds_every_number_of_the_table(made: tuple[Result, Path]) -> None:
    result, page = made
    cells = _parsed(page).cells
    row = len(result.table.column_names)
    body = cells[-row * result.table.num_rows :]
    rows = [body[i : i + row] for i in range(0, len(body), row)]
    assert len(rows) == result.table.num_rows
    for shown, cell in zip(rows, result.table.to_pylist(), strict=True):
        by_name = dict(zip(result.table.column_names, shown, strict=True))
        for name in ("accuracy", "low", "high", "chance"):
            assert by_name[name] == percent(cell[name])
        assert by_name["n"] == str(cell["n"])
        assert by_name["task"] == cell["task"]
        assert float(by_name["correct"]) == pytest.approx(cell["correct"], rel=1e-5)


def test_the_leaderboard_is_on_the_page_and_in_the_tables(made: tuple[Result, Path]) -> None:
    result, page = made
    text, table = page.read_text(encoding="utf-8"), markdown(result)
    assert (page.parent / "leaderboard.md").read_text() == table
    for line in leaderboard_rows(result):
        assert line.title in text
        for cell in line.cells.values():
            assert f"{percent(cell['accuracy'])}</span><small>{percent(cell['low'])} – {percent(cell['high'])}" in text
            assert f"{percent(cell['accuracy'])} [{percent(cell['low'])}, {percent(cell['high'])}]" in table
    with open(page.parent / "results.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in read] == result.table["accuracy"].to_pylist()


def test_the_page_needs_no_network_and_runs_nothing(made: tuple[Result, Path]) -> None:
    tags = _parsed(made[1])
    for tag, attributes in tags.found:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "data", "poster"):
            value = attributes.get(name)
            beside = tag == "a" and value is not None and value.split("#")[0] == "explore.html"
            assert value is None or beside or value.startswith(("data:image/jpeg;base64,", "#")), (tag, value)
    assert (made[1].parent / "explore.html").exists()
    style = re.findall(r"<style>(.*?)</style>", made[1].read_text(encoding="utf-8"), re.S)
    assert not re.search(r"url\(|@import|https?:", "".join(style))


def test_every_picture_and_chart_has_words(made: tuple[Result, Path]) -> None:
    tags = _parsed(made[1])
    pictures = [attributes for tag, attributes in tags.found if tag == "img"]
    assert pictures
    assert all(attributes.get("alt") for attributes in pictures)
    charts = [a for tag, a in tags.found if tag == "svg" and a.get("class") == "dots"]
    assert charts
    assert all(chart.get("role") == "img" and "%" in (chart.get("aria-label") or "") for chart in charts)
    targets = {attributes.get("id") for _, attributes in tags.found}
    links = [str(a["href"]) for tag, a in tags.found if tag == "a"]
    assert {link[1:] for link in links if not link.startswith("explore.html")} <= targets
    assert any(link.startswith("explore.html#task=") and "world_name=" in link for link in links)


def test_the_headline_says_who_is_best_and_who_only_guesses() -> None:
    def line(task: str, **accuracy: float) -> LeaderboardRow:
        cells = {m: {"accuracy": a, "low": a - 0.05, "high": a + 0.05, "chance": 0.5} for m, a in accuracy.items()}
        return LeaderboardRow(task, "all", "top1", task.title(), 0.5, cells)

    text = headline([line("relation", good=0.9, blind=0.5)], ["good", "blind"])
    assert text.startswith("“good” is right 90.0")
    assert "“blind”: above chance in no task" in text
    assert "“good”: above chance" not in text
    assert "overlaps" in headline([line("relation", a=0.9, b=0.88)], ["a", "b"])
    average = headline([line("relation", good=0.9), line("average", good=0.9)], ["good"])
    assert "on average over 1 task;" in average
    assert "no task" not in average


def test_a_report_is_a_pure_function_of_the_result(made: tuple[Result, Path], tmp_path: Path) -> None:
    result, page = made
    again = write_report(result, tmp_path)
    assert again.read_bytes() == page.read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.browser
def test_the_page_opens_in_a_browser_without_a_network(made: tuple[Result, Path], tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    shot = tmp_path / "page.png"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,1200"]
    subprocess.run([*command, f"--screenshot={shot}", made[1].as_uri()], check=True, capture_output=True, timeout=250)
    from PIL import Image

    colours = Image.open(shot).convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert len(colours) > 50, "an empty page has few colours"
