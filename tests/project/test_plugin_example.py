"""The example package of the plug-in guide: what a reader copies must work as it stands.

What could silently be wrong: an example that imports but is never found under its name, that breaks a contract only
where a dataset is made, or whose model is right whatever the images show.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchmultiverse import generate
from torchmultiverse.evaluation import evaluate
from torchmultiverse.models import load_model

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "plugin"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the example on the path with the metadata that an installer would write."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    about = tmp_path / "multiverse_colours-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(FOLDER)
    yield
    for name in ("colours_model", "flat_engine", "fog_protocol"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("protocol", ["fog", FOLDER / "colour_words.json"], ids=["by name", "a file"])
def test_model_engine_protocol_and_factor_work_together(installed: None, tmp_path: Path, protocol: str | Path) -> None:
    made = generate(FOLDER / "fog.json", tmp_path / "fog", "flat", progress=False)
    assert made.images == 18
    assert not made.failures
    result = evaluate(tmp_path / "fog", load_model("colours:middle"), protocol, quiet=True)
    by_fog = {
        float(row["level"]): row["accuracy"]
        for row in result.table.to_pylist()
        if row["task"] == "colour" and row["factor"] == "fog_density"
    }
    assert by_fog[0] == by_fog[0.5] == 1
    assert by_fog[1] == pytest.approx(1 / 3)


def test_the_python_of_the_page_runs(installed: None) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (FOLDER.parents[1] / "plugins.md").read_text(), re.S | re.M)
    assert blocks
    for number, source in enumerate(blocks):
        exec(compile(source, f"plugins.md, example {number + 1}", "exec"), {})


@pytest.mark.parametrize(
    "name", ["colours_model.py", "flat_engine.py", "fog.json", "colour_words.json", "fog_protocol.py"]
)
def test_each_example_is_short(name: str) -> None:
    assert len((FOLDER / name).read_text().splitlines()) <= 40
