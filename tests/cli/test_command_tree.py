"""Where commands stand, what answers to a name that is not there, and that what recurs has one name and one meaning.

What could silently be wrong: an old name answers with a place that is not there either, a typed option is lost on the
way into its set, the same option means two things, or what a command prints depends on what was imported first.
"""

from __future__ import annotations

import ast
import csv
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from command import run
from typer.main import get_group
from typer.testing import CliRunner

from torchmultiverse.cli import options, output
from torchmultiverse.cli.app import app
from torchmultiverse.cli.groups import EVERYDAY, RENAMED, walk
from torchmultiverse.farm import DryRun

TREE = get_group(app)
PATHS = {" ".join(path): command for path, command in walk(TREE)}
GROUPS = {"analyze", "assets", "catalogue", "data", "engine", "eval", "farm", "models", "specs", "train"}
RENAMES = Path(__file__).parents[2] / "docs" / "renames.csv"


def test_only_everyday_commands_stand_at_the_top() -> None:
    assert set(TREE.commands) == {*EVERYDAY} | GROUPS
    assert {name for name, command in TREE.commands.items() if hasattr(command, "commands")} == GROUPS


def test_the_page_of_commands_has_all_of_them() -> None:
    text = (RENAMES.parent / "commands.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| (.*) \|$", text, re.M)
    listed = {f"{group} {name}" for group, cell in rows for name in re.findall(r"`([a-z0-9 -]+)`", cell)}
    assert listed == set(PATHS) - {*EVERYDAY}


def _moved() -> list[tuple[str, str]]:
    with open(RENAMES, newline="") as file:
        return [(row["old"], row["new"]) for row in csv.DictReader(file) if row["kind"] == "command"]


@pytest.mark.parametrize(("old", "new"), _moved())
def test_an_old_name_says_where_the_command_is(old: str, new: str, capsys, monkeypatch) -> None:
    assert new in PATHS
    name = old.removesuffix(" MODEL")
    rest = ["timm:resnet50", "--data", "x"] if name != old else ["x"]
    code, _, said = run(capsys, monkeypatch, *name.split(), *rest)
    assert code == 2
    assert f"'{name}' is now 'torchmultiverse {new}'" in said


def test_renamed_commands_are_in_the_table() -> None:
    assert len(_moved()) > 30
    assert set(RENAMED.items()) <= {(old.removesuffix(" MODEL"), new) for old, new in _moved()}


def test_a_group_that_moved_lists_its_commands(capsys, monkeypatch) -> None:
    code, _, said = run(capsys, monkeypatch, "rcdm")
    assert code == 2
    assert "'rcdm' is now 'torchmultiverse analyze rcdm sample' or" in said
    code, _, said = run(capsys, monkeypatch, "rendr")
    assert (code, "Did you mean 'render'" in said) == (2, True)


def test_eval_scores_unless_a_command_is_named(tmp_path: Path, capsys, monkeypatch) -> None:
    code, _, said = run(capsys, monkeypatch, "eval", tmp_path / "none", "--model", "timm:resnet10t/random")
    assert (code, "none" in said) == (4, True)
    code, _, said = run(capsys, monkeypatch, "eval", "--model", "timm:resnet10t/random", tmp_path / "none")
    assert code == 4
    code, _, said = run(capsys, monkeypatch, "eval", "comapre", tmp_path)
    assert (code, "Did you mean 'compare'" in said) == (2, True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comapre").mkdir()  # what is there is a dataset, whatever it is called
    code, _, said = run(capsys, monkeypatch, "eval", "comapre", "--model", "timm:resnet10t/random")
    assert code == 4
    code, said, _ = run(capsys, monkeypatch, "eval", "--help")
    assert (code, "next-renders" in said) == (0, True)


SAME = {"seed", "features", "save", "token", "assets", "protocol", "metric", "task", "accept_license"}
"""Options that have one type, one default and one help wherever they are."""


def test_an_option_that_recurs_means_one_thing() -> None:
    found: dict[str, set[tuple[Any, ...]]] = {}
    for path, command in PATHS.items():
        for one in command.params:
            # `models check --save` writes vectors for its own --against.
            if one.name in SAME and (path, one.name) != ("models check", "save"):
                found.setdefault(one.name, set()).add((one.opts[0], one.help, str(one.default)))
    assert {name: ways for name, ways in found.items() if len(ways) > 1} == {}
    assert set(found) == SAME
    names = {option for command in PATHS.values() for one in command.params for option in one.opts}
    assert not names & {"--embeddings", "--dataset", "--licence", "--out-folder"}


OPTIONAL = {
    "accept_license", "against", "allow_origin", "b", "boxes", "by", "data", "decoder_a", "decoder_b", "gallery",
    "level", "count", "out", "options", "page", "results", "save", "set_", "token", "values",
}  # fmt: skip
"""What is not done, or not said, where these are not given: nothing stands in their place."""


def test_help_shows_every_option_with_its_default(capsys, monkeypatch) -> None:
    """Silently wrong would be a default that is used and not shown, or shown and another one than is used."""
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    seen = 0
    for path, command in PATHS.items():
        code, said, _ = run(capsys, monkeypatch, *path.split(), "--help")
        assert code == 0, path
        assert f"torchmultiverse {path.removesuffix(' run')} " in said.partition("Example")[2] + " ", (
            f"{path}: no example"
        )
        cells = " ".join(line.strip("│ ") for line in said.splitlines())
        cells = re.sub(r"\s+", " ", cells)
        for one in command.params:
            assert one.help, f"{path}: {one.name} has no help"
            default = one.default
            if one.param_type_name == "option":
                assert one.opts[0] in said, path
            if default is None or callable(default):
                known = "efault" in one.help or one.required or one.name in OPTIONAL
                assert known, f"{path}: what is used without {one.opts[0]}?"
                continue
            if default == "" or (default is False and not one.secondary_opts):
                continue  # not given: nothing
            if isinstance(default, bool):
                default = (one.opts if default else one.secondary_opts)[0].lstrip("-")
            assert f"[default: {default}]" in cells, f"{path} {one.name}"
            seen += 1
    assert seen > 150


def test_sets_of_options_reach_the_command() -> None:
    @dataclass(frozen=True)
    class Set:
        needed: Annotated[int, typer.Option(help="Needed.")]
        two: Annotated[list[str] | None, typer.Option(help="Several.")] = None

    globals()["Set"] = Set  # annotations are read by name, as those of commands are
    seen: list[Any] = []
    made = typer.Typer()

    def command(
        first: Annotated[str, typer.Argument()], set_: Set, last: Annotated[bool, typer.Option()] = False
    ) -> None:
        seen.append((first, set_, last))

    made.command()(options.option_sets(command))
    done = CliRunner().invoke(made, ["a", "--two", "x", "--needed", "3", "--two", "y", "--last"])
    assert done.exit_code == 0, done.output
    assert seen == [("a", Set(3, ["x", "y"]), True)]
    assert CliRunner().invoke(made, ["a"]).exit_code == 2


def test_functions_are_short_and_take_few_things() -> None:
    for path in sorted(Path(inspect.getfile(options)).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                taken = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                assert (lines <= 80, taken <= 10) == (True, True), f"{path.name}, {node.name}: {lines} lines, {taken}"


def test_brackets_of_a_name_are_shown() -> None:
    done = CliRunner().invoke(app, ["engine", "check", "[bold]marker"], catch_exceptions=True)
    assert "[bold]marker" in str(done.exception)
    plain = DryRun("[b]name", 1, {"[i]World_Name": {"[red]Desert": 1}}, [], 1.0, "a guess", 10)
    console = output.console()
    with console.capture() as captured:
        console.print(plain)
    for name in ("[b]name: 1 pictures", "[i]World_Name", "[red]Desert 1"):
        assert name in captured.get()
    with console.capture() as captured:
        console.print("[bold]x[/] :smile:")
    assert captured.get() == "[bold]x[/] :smile:\n"
