"""The tree of commands: its groups, how examples are written, and answers to names that are not there.

A command is a function that stands under its group, with its help (docstring), options and examples in one place:

    @eval_group.command("slices", epilog=examples("torchmultiverse eval slices results/ --model timm:resnet50"))
    def slices(results: Results, ...) -> None: ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

RENAMED = {
    "analyze": "analyze model",
    "dejavu score": "analyze dejavu",
    "dejavu split": "data split",
    "plan": "eval power",
    "rcdm train": "train decoder",
    "why": "eval gap",
}
"""Commands that had another last word. One that only moved is found in the tree by its last word."""


class Commands(TyperGroup):
    """A group that says where a command is that stands elsewhere."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, or fail with where it is now (exit code 2)."""
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            path = _path(ctx)
            found = _elsewhere(ctx.find_root().command, [*path, *args])
            if found:
                ctx.fail(f"'{' '.join([*path, args[0]])}' is now " + " or ".join(f"'{name}'" for name in found))
        return super().resolve_command(ctx, args)


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


def _elsewhere(root: TyperGroup, words: Sequence[str]) -> list[str]:
    """Return what the first words of a command line that names no command are called now."""
    for count in (2, 1):
        if (old := " ".join(words[:count])) in RENAMED:
            return [f"torchmultiverse {RENAMED[old]}"]
    last = next((word for word in words if word not in root.commands), "")
    paths = [path for path, _ in walk(root)]
    found = [path for path in paths if path[-1] == last] or [path for path in paths if last in path]
    if len(found) > 1:
        found = [path for path in found if path[-1] in words] or found
    return [f"torchmultiverse {' '.join(path)}" for path in found]


def _group(parent: typer.Typer, name: str, text: str, cls: type[Commands] = Commands, **more: Any) -> typer.Typer:
    made = typer.Typer(help=text, no_args_is_help=True, cls=cls, **more)
    parent.add_typer(made, name=name)
    return made


app = typer.Typer(
    help="Controlled visual worlds for testing vision models: JSON spec in, factor-labelled images and scores out.",
    cls=Commands,
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
engine_group = _group(app, "engine", "What engines there are and what they can render.")
assets_group = _group(app, "assets", "Your own meshes and environment maps, and packs of free ones.")
models_group = _group(app, "models", "Models: which there are, and whether they work as declared.")
