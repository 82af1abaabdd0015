"""The documentation names packages, commands and options that are there. A guide that names what was renamed sends its
reader into an error; the build of the site cannot see that."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import torchmultiverse
from torchmultiverse.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "unreal_bridge" / "README.md"]


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the command lines of a page: of its blocks, continued lines put together, and those inside of sentences."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(torchmultiverse [^`\n]+)`", text)
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] == ["torchmultiverse"]:
            yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page_are_there(page: Path) -> None:
    for words in _commands(page.read_text()):
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            assert name in command.commands, f"{page.name}: no command {name!r} in: torchmultiverse {shlex.join(words)}"
            command = command.commands[name]
        options = {option for one in command.params for option in [*one.opts, *one.secondary_opts]} | {"--help"}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= options, f"{page.name}: torchmultiverse {shlex.join(words)}"


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {module.name for module in pkgutil.iter_modules(torchmultiverse.__path__) if module.ispkg}
    assert packages <= set(re.findall(r"^\| ([a-z]+) \|", text, re.M))
    assert packages <= set(re.findall(r"\w+", text[text.index("```text") :].split("```")[1]))
