"""The notebooks of the documentation run as they stand: an example that nobody runs goes wrong at the next change of a
name, and a reader is the first to see it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def _code(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


def test_there_are_notebooks_and_they_are_stored_without_outputs() -> None:
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), f"{path.name}: strip the outputs"
            assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path: Path) -> None:
    """In this process, which has most of what they import; the test below runs them as a reader does."""
    names: dict[str, Any] = {}
    for number, source in enumerate(_code(path)):
        exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    assert not names["WORK"].exists()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_in_a_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    from jupyter_client.manager import AsyncKernelManager

    root = str(FOLDER.parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))
    book = nbformat.read(path, as_version=4)
    monkeypatch.chdir(tmp_path)  # where the files of the sockets are made
    # Over a socket file: a kernel's ports are chosen before it binds them.
    nbclient.NotebookClient(book, km=AsyncKernelManager(transport="ipc"), timeout=600, startup_timeout=300).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert shown
    assert not [output for output in shown if output["output_type"] == "error"]
