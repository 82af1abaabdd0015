"""That every table is there for programs too, and is as wide as it should be.

Silently wrong would be a line for people amid JSON, a number that was rounded on its way, or a name that a pipe cuts at
a width that no terminal has.
"""

from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from command import run
from typer.main import get_group

from torchmultiverse import progress
from torchmultiverse.cli import options, output
from torchmultiverse.cli.app import app
from torchmultiverse.cli.groups import walk
from torchmultiverse.progress import progress_bar, training_bar
from torchmultiverse.tables import Table, text

CLI = Path(inspect.getfile(options)).parent
PATHS = {" ".join(path): command for path, command in walk(get_group(app))}


def _calls(node: ast.AST) -> set[str]:
    return {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def test_every_command_that_makes_a_table_has_formats() -> None:
    """A command that prints a table by itself would ignore ``--format``, or not have it."""
    seen = 0
    for path in sorted(CLI.glob("*.py")):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef):
                continue
            named = [ast.unparse(d.func) for d in node.decorator_list if isinstance(d, ast.Call)]
            if any(name.endswith(".command") for name in named):
                local = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
                made = _calls(node).union(*(_calls(local[name]) for name in _calls(node) & set(local)))
                tells = bool(made & {"print_table", "finish"})  # the latter those of a study
                assert tells == ("tabular" in named), f"{path.name}: {node.name}"
                seen += "tabular" in named
    with_format = {name for name, c in PATHS.items() if any(p.name == "format" for p in c.params)}
    assert len(with_format) == seen > 25
    assert with_format == {name for name, c in PATHS.items() if hasattr(c.callback, "columns")}


def test_keys_of_a_table_are_its_own_and_in_the_help() -> None:
    for name, command in PATHS.items():
        columns = getattr(command.callback, "columns", ())
        keys = [key for column in columns for key in column.keys]
        assert len(set(keys)) == len(keys), name
        assert all(f"`{key}`" in command.help for key in keys), name
        assert all(key.isidentifier() and key == key.lower() for key in keys), name
        assert all(column.unit for column in columns if column.right and column.head), f"{name}: a number has a unit"


class Terminal(io.StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_whole_lines_and_a_terminal_its_width(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    row = " ".join(["word"] * 400)
    shown = Table([text("column")])
    shown.add(row)
    output.say(shown)
    assert row in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    output.say(shown)
    output.say(row)
    *lines, last = re.sub("\x1b[^m]*m", "", screen.getvalue()).splitlines()
    assert max(map(len, lines)) <= 60
    assert last == row


def _commands(tmp_path: Path) -> dict[str, list[Any]]:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 45, 90]}))
    return {
        "specs list": [],
        "engine list": [],
        "engine check": ["marker"],
        "assets list": [],
        "models list": [],
        "render": [spec, "--out", tmp_path / "x", "--engine", "marker", "--dry-run"],
        "eval power": [spec, "--engine", "marker", "--factor", "World_Name", "--detect", "30"],
    }


def test_programs_get_their_format_alone(tmp_path: Path, capsys, monkeypatch) -> None:
    for name, arguments in _commands(tmp_path).items():
        keys = [key for column in PATHS[name].callback.columns for key in column.keys]
        command = (*name.split(), *arguments, "--format")
        code, said, _ = run(capsys, monkeypatch, *command, "json")
        rows = json.loads(said)
        assert (code, list(rows[0])) == (0, keys), name
        code, said, _ = run(capsys, monkeypatch, *command, "csv")
        head, *lines = csv.reader(io.StringIO(said))
        assert (head, len(lines)) == (keys, len(rows)), name
        assert {len(line) for line in lines} == {len(keys)}
        code, said, _ = run(capsys, monkeypatch, *command, "md")
        assert {line[0] + line[-1] for line in said.splitlines()} == {"||"}, name
        assert len(said.splitlines()) == len(rows) + 2
    code, _, said = run(capsys, monkeypatch, "specs", "list", "--format", "xml")
    assert (code, "'csv'" in said, "Value error" in said) == (2, True, False)


def test_notes_and_progress_can_be_silenced(tmp_path: Path, capsys, monkeypatch) -> None:
    """Where a script keeps standard error, everything in it should be an error."""
    monkeypatch.setattr("sys.stderr", Terminal())
    assert not progress_bar().disable
    with monkeypatch.context() as silent:
        silent.setattr(progress, "SILENT", ContextVar("silent", default=True))
        assert progress_bar().disable
        assert training_bar(quiet=False).disable
    monkeypatch.undo()
    listed = ("models", "list", "--format", "json")
    assert run(capsys, monkeypatch, *listed)[2]
    assert run(capsys, monkeypatch, "--quiet", *listed)[2] == ""
    assert run(capsys, monkeypatch, *listed)[2], "it is of one command"
    assert "no spec at" in run(capsys, monkeypatch, "--quiet", "render", "none.json", "--out", tmp_path / "y")[2]


@pytest.mark.parametrize("command", [("farm", "status", "x", "--watch"), ("render", "spar", "--out", "x")])
def test_what_prints_no_table_refuses_a_format(command: tuple[str, ...], capsys, monkeypatch) -> None:
    code, said, why = run(capsys, monkeypatch, *command, "--format", "json")
    assert (code, said) == (2, "")
    assert "--watch" in why or "--dry-run" in why
