"""The pages and files beside the report. What could silently be wrong: a row that the explorer loses or gives another
picture, a LaTeX table that does not compile, a card that praises what is chance, a submission that claims too much.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from planted import Planted, Tagged, drawn_spar, spar_rows

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Result, evaluate
from torchmultiverse.evaluation.submissions import Submission, check, submission
from torchmultiverse.models import HistogramBaseline
from torchmultiverse.report.explorer import explore
from torchmultiverse.report.modelcard import model_card
from torchmultiverse.report.tables import latex
from torchmultiverse.store import ImageList


@pytest.fixture(scope="module")
def drawn() -> ImageList:
    return drawn_spar(32)


@pytest.fixture(scope="module")
def result(drawn: ImageList) -> Result:
    models = [
        HistogramBaseline.fit(drawn_spar(32, seed=1), name="colours"),
        HistogramBaseline.fit(drawn_spar(32, seed=2), ridge=1e6, name="50 % & co_"),
    ]
    return evaluate(drawn, models, quiet=True)


def _unpacked(page: Path) -> dict:
    text = re.search(r'<script id="data"[^>]*>([^<]*)</script>', page.read_text())
    assert text is not None
    return json.loads(gzip.decompress(base64.b64decode(text[1])))


def test_every_row_is_on_the_page(result: Result, drawn: ImageList, tmp_path: Path) -> None:
    page = explore(result, tmp_path, drawn, quiet=True)
    data = _unpacked(page)
    columns = {}
    for column in data["rows"]:
        values = np.frombuffer(base64.b64decode(column["data"]), "<" + column["form"])
        columns[column["name"]] = [column["words"][v] for v in values] if column["kind"] == "word" else values.tolist()
    for name in ("model", "task", "metric", "label", "prediction", "index"):
        assert columns[name] == result.rows[name].to_pylist(), name
    assert columns["correct"] == np.rint(np.array(result.rows["correct"].to_pylist()) * 100).tolist()
    factors = {f["name"]: f for f in data["factors"]}
    world = np.frombuffer(base64.b64decode(factors["world_name"]["data"]), "<" + factors["world_name"]["form"])
    assert [factors["world_name"]["words"][v] for v in world] == drawn.table(["world_name"])["world_name"].to_pylist()
    assert not any("caption" in name for name in factors)
    assert data["tiles"] == len(list((tmp_path / "tiles").glob("*.jpg"))) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_tiles_are_the_pictures(result: Result, drawn: ImageList, tmp_path: Path) -> None:
    from PIL import Image

    explore(result, tmp_path, drawn, quiet=True)
    sheet = Image.open(tmp_path / "tiles" / "0.jpg")
    for place in (0, 17, 149):
        tile = sheet.crop((place % 16 * 96, place // 16 * 96, place % 16 * 96 + 96, place // 16 * 96 + 96))
        expected = drawn.image(place).resize((96, 96), Image.Resampling.BOX)
        assert np.abs(np.asarray(tile, int) - np.asarray(expected, int)).mean() < 8


CLICK = """
<script>
addEventListener("load", () => { const wait = setInterval(() => {
  if (!document.documentElement.dataset.ready) return;
  clearInterval(wait);
  document.title = "READY " + document.documentElement.dataset.ready + " " + document.getElementById("sum").textContent
    + " rows " + document.querySelectorAll("#scroll tbody tr").length;
}, 20); });
</script></body>"""


@pytest.mark.browser
def test_a_million_rows_filter_in_no_time(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    import pyarrow as pa

    pictures = Tagged(spar_rows())
    small = evaluate(pictures, Planted(pictures, "oracle", ["world", "animals"]), quiet=True)
    times = -(-1_000_000 // small.rows.num_rows)
    big = Result(
        small.table, pa.concat_tables([small.rows] * times).unify_dictionaries(), small.provenance, {}, small.factors
    )
    page = explore(big, tmp_path)
    page.write_text(page.read_text().replace("</body>", CLICK))
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom",
               "--proxy-server=127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=60000"]  # fmt: skip
    shown = subprocess.run(
        [*command, page.as_uri() + "#world_name=Desert"], check=True, capture_output=True, timeout=200
    )
    text = shown.stdout.decode()
    title = re.search(r"<title>READY (\d+) ([\d,]+) answers, 100\.0 % right rows (\d+)</title>", text)
    assert title is not None, text[-500:]
    index = big.rows["index"].to_numpy()
    world = np.array(pictures.table(["world_name"])["world_name"].to_pylist())
    assert int(title[2].replace(",", "")) == (world[index] == "Desert").sum()
    assert int(title[3]) < 200, "only rows in sight are drawn"


def test_latex_escapes_and_has_every_line(result: Result) -> None:
    text = latex(result)
    assert r"50 \% \& co\_" in text
    assert text.count(r"\\") == 1 + len({line for line in text.splitlines() if " & " in line}) - 1
    assert text.count(r"\textbf") >= 10
    assert not re.search(r"(?<!\\)[%&_#](?=[^ ])", text.split(r"\toprule")[1].replace(" & ", " "))


def test_a_card_says_what_is_chance(result: Result) -> None:
    card = model_card(result, "50 % & co_")
    assert card.startswith("---\n")
    assert "**Not above chance:**" in card
    good = model_card(result, "colours")
    assert "## Under which conditions" in good
    assert "| world_name |" in good or "| character_name |" in good
    with pytest.raises(DatasetError, match="Did you mean 'colours'"):
        model_card(result, "color")


class Plain:
    """Two vectors by brightness."""

    def __init__(self, tilt: float = 0.0) -> None:
        from torchmultiverse.models import ModelInfo

        self.info = ModelInfo("plain", "image-text", weights_sha256=f"{int(tilt * 100):064d}")
        self.tilt = tilt

    logit_scale = 10.0

    def encode_image(self, images):
        light = np.array([np.asarray(i.convert("L")).mean() / 255 for i in images], np.float32)
        return np.stack([np.cos(light + self.tilt), np.sin(light + self.tilt)], 1)

    def encode_text(self, texts):
        angles = np.array([sum(map(ord, t)) % 100 / 100 for t in texts], np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], 1)


def test_a_submission_is_checked_against_rows_and_a_second_run(drawn: ImageList, tmp_path: Path) -> None:
    result = evaluate(drawn, Plain(), quiet=True)
    entry = Submission.load(submission(result, "plain", contact="me").save(tmp_path / "s.json"))
    fails = lambda found: [c.what for c in found if c.state == "fails"]  # noqa: E731
    assert fails(check(entry, result, dataset=drawn, model=Plain())) == []
    assert {c.what for c in check(entry, result, dataset=drawn, model=Plain())} >= {
        "rows",
        "numbers from rows",
        "weights",
        "re-run",
    }
    better = entry.model_copy(update={"scores": [
        s.model_copy(update={"accuracy": min(1, s.accuracy + 0.2), "high": 1.0}) for s in entry.scores
    ]})  # fmt: skip
    assert "numbers from rows" in fails(check(better, result))
    assert "re-run" in fails(check(better, dataset=drawn, model=Plain()))
    assert "weights" in fails(check(entry, dataset=drawn, model=Plain(0.5)))
    outside = entry.model_copy(update={"scores": [entry.scores[0].model_copy(update={"accuracy": 1.0, "high": 0.9})]})
    assert "numbers and intervals" in fails(check(outside))
    bad = json.loads((tmp_path / "s.json").read_text())
    bad["scores"][0]["accuracy"] = 1.7
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    with pytest.raises(DatasetError, match=r"scores\.0\.accuracy"):
        Submission.load(tmp_path / "bad.json")
    with pytest.raises(DatasetError, match=r"there is no .*none"):
        Submission.load(tmp_path / "none.json")
