"""Every Python example of the README and of the documentation runs as it stands, in the order of its page.

Silently wrong would be an example that names what it never made, or that a change of the package has broken: nobody
but a reader runs it. `test_docs.py` holds the names of all pages, `tests/cli/test_commands_named.py` their commands.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse import generate

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if "```python" in page.read_text()
]
PAGES.remove(ROOT / "docs" / "plugins.md")  # needs the package that it makes: test_plugin_example.py runs its examples
NO_WEIGHTS = {'"timm:resnet18"': '"timm:resnet18/random"'}  # a test fetches no weights


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of the tutorial's spec, small."""
    folder = tmp_path_factory.mktemp("snippets")
    (spec,) = _blocks(ROOT / "docs" / "tutorial.md", "json")
    (folder / "zebras.json").write_text(spec)
    generate(folder / "zebras.json", folder / "zebras", "inprocess", size=(32, 32), samples=1, check=0, progress=False)
    return folder / "zebras"


def test_there_are_examples() -> None:
    assert {"README", "index", "representation", "tutorial"} <= {page.stem for page in PAGES}


@pytest.mark.timeout(900)  # with an empty cache, beside others, its renderings take minutes
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(
    page: Path, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHMULTIVERSE_CONFIG", str(tmp_path / "config"))
    for name in ("zebras", "animals"):  # what the commands of the page before made
        shutil.copytree(rendered, tmp_path / "data" / name)
    names: dict[str, Any] = {}
    known = (
        [] if page == PAGES[0] else _blocks(PAGES[0], "python")
    )  # the first page of the site repeats one of the README
    for number, source in enumerate(source for source in _blocks(page, "python") if source not in known):
        for written, here in NO_WEIGHTS.items():
            source = source.replace(written, here)
        exec(compile(source, f"{page.name}, example {number + 1}", "exec"), names)
