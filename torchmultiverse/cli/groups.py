"""The tree of commands: its groups, how examples are written, and answers to names that are not there.

A command is a function that stands under its group, with its help (docstring), options and examples in one place:

    @eval_group.command("slices", epilog=examples("torchmultiverse eval slices results/ --model timm:resnet50"))
    def slices(results: Results, ...) -> None: ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

EVERYDAY = ("render", "eval", "report", "show", "explore", "serve", "doctor", "demo")
"""What stands at the top; everything else is in a group."""
RENAMED = {
    "analyze": "analyze model",
    "analyze rcdm study": "analyze rcdm experiments",
    "dejavu score": "analyze dejavu",
    "dejavu split": "data split",
    "dejavu sweep": "analyze sweep",
    "plan": "eval power",
    "rcdm study": "analyze rcdm experiments",
    "rcdm train": "train decoder",
    "why": "eval gap",
}
"""Commands that cannot be found in the tree by the last word of their old name."""


class Commands(TyperGroup):
    """A group that says where a command is that stands elsewhere, and refuses options that are given twice."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an option's value that cannot be is told in words for people alone."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # Typer gives pydantic's
            error.message = _with_nearest(error.message)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, or fail with where it is now (exit code 2)."""
        path = _path(ctx)
        mistyped = path and args and get_close_matches(args[0], self.commands)
        if args and args[0] not in self.commands and not mistyped and not ctx.resilient_parsing:
            old, new = _elsewhere(ctx.find_root().command, [*path, *args])
            if new:
                ctx.fail(f"'{old}' is now " + " or ".join(f"'torchmultiverse {name}'" for name in new))
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, TyperGroup) and not ctx.resilient_parsing:
            _check_once(ctx, command, rest)
        return name, command, rest


class Root(Commands):
    """The command itself; everyday commands are shown first."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of commands and groups in the order of the help."""
        return sorted(self.commands, key=lambda name: EVERYDAY.index(name) if name in EVERYDAY else len(EVERYDAY))


class Evaluation(Commands):
    """``eval DATASET --model M`` scores models: what is no command of the group goes to its command ``run``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``run`` before what names no other command."""
        if args and args[0] not in {*self.commands, "--help"} and not self._typo(args[0]):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def _typo(self, word: str) -> bool:
        """Tell whether a word is a command that was written wrong, rather than the folder of a dataset."""
        return not Path(word).exists() and bool(get_close_matches(word, [*self.commands, *RENAMED], 1, 0.75))


def _with_nearest(message: str) -> str:
    """Return what is said of a value that is none of those known, with the nearest of these."""
    value, none_of, known = message.partition(" is not one of ")
    names = re.findall(r"'([^']*)'", known)
    near = get_close_matches(value.strip("'").casefold(), names, 1, 0.5) if none_of else []
    return f"{message} Did you mean '{near[0]}'?" if near else message


def _check_once(ctx: Any, command: Any, args: Sequence[str]) -> None:
    """Fail (exit code 2) where an option of one value is given twice: which of them was meant, nobody knows."""
    options = {name: one for one in command.get_params(ctx) if one.param_type_name == "option" for name in one.opts}
    given: dict[str, list[str]] = {}
    words = iter(args)
    for word in words:
        if word == "--":
            break
        name, separator, value = word.partition("=")
        option = options.get(name)
        if option is None or option.is_flag or option.count:
            continue
        value = value if separator else next(words, "")
        if not option.multiple:
            given.setdefault(option.opts[0], []).append(value)
    for name, values in given.items():
        if len(values) > 1:
            ctx.fail(f"{name} is given {len(values)} times: {', '.join(values)}; once is right")


def walk(group: TyperGroup, path: Sequence[str] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and command of every command below a group."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


def command_of(group: TyperGroup, words: Sequence[str]) -> tuple[tuple[str, ...], Any]:
    """Return the path of the command or group that arguments name, as far as they name one, and it."""
    path: tuple[str, ...] = ()
    found: Any = group
    for word in words:
        if not isinstance(found, TyperGroup) or word not in found.commands:
            break
        path, found = (*path, word), found.commands[word]
    if isinstance(found, Evaluation) and len(words) > len(path) and words[len(path)] != "--help":
        path, found = (*path, "run"), found.commands["run"]
    return path, found


def examples(*lines: str) -> str:
    """Return the examples of a command as the end of its help."""
    return ("Example:" if len(lines) == 1 else "Examples:") + "".join(f"\n\n`{line}`" for line in lines)


def _path(ctx: Any) -> list[str]:
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.info_name)
        ctx = ctx.parent
    return names


def _elsewhere(root: TyperGroup, words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the words of a command line that name what is elsewhere now, and what it is called there."""
    for count in (3, 2, 1):
        if (old := " ".join(words[:count])) in RENAMED:
            return old, [RENAMED[old]]
    at = next((k for k, word in enumerate(words) if word not in root.commands), len(words) - 1)
    paths = [path for path, _ in walk(root)]
    # A command of that last word; or of a group of that name the one that is named next, or all.
    found = [path for path in paths if path[-1] == words[at]]
    if not found:
        found = [path for path in paths if words[at] in path]
        named = [path for path in found if path[-1] in words[at + 1 : at + 2]]
        found, at = (named, at + 1) if named else (found, at)
    return " ".join(words[: at + 1]), [" ".join(path) for path in found]


def _group(parent: typer.Typer, name: str, text: str, cls: type[Commands] = Commands, **more: Any) -> typer.Typer:
    made = typer.Typer(help=text, no_args_is_help=True, cls=cls, **more)
    parent.add_typer(made, name=name)
    return made


app = typer.Typer(
    help="Controlled visual worlds for testing vision models: JSON spec in, factor-labelled images and scores out.",
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
eval_group = _group(
    app, "eval", "Score models: `eval DATASET --model M` (options: `eval run --help`); compare and explain the scores.",
    Evaluation, subcommand_metavar="DATASET --model M | COMMAND [ARGS]...",
)  # fmt: skip
leaderboard_group = _group(eval_group, "leaderboard", "Leaderboard entries: make one, check one.")
analyze_group = _group(app, "analyze", "What a representation knows: layers, probes, decoders, memorization.")
rcdm_group = _group(analyze_group, "rcdm", "Images drawn from a representation by a decoder (RCDM).")
train_group = _group(app, "train", "Train encoders, decoders and classifiers; fine-tune CLIP models.")
data_group = _group(app, "data", "Datasets: in, out, together, and whether they are sound.")
specs_group = _group(app, "specs", "Specs: those that come with the package, and the schema of your own.")
farm_group = _group(app, "farm", "Runs that take long, or many machines.")
catalogue_group = _group(
    app, "catalogue", "What an engine can render, with all installed packs or those of --assets: factors, levels.",
)  # fmt: skip
engine_group = _group(app, "engine", "What engines there are and what they can render.")
assets_group = _group(app, "assets", "Your own meshes and environment maps, and packs of free ones.")
build_group = _group(assets_group, "build", "Make packs of free data that this machine has or can get.")
models_group = _group(app, "models", "Models: which there are, and whether they work as declared.")
