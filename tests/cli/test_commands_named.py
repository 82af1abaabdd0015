"""Every command that a page, a help text or a message names is there, with the options that are named.

What could silently be wrong: a message's remedy, an example or a guide names a command that has moved or an option that
was renamed, and sends its reader into an error; nothing else reads those words.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from torchmultiverse.cli.app import app
from torchmultiverse.cli.groups import RENAMED, command_of, walk

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "unreal_bridge/README.md", "Makefile")),
    ROOT / "unreal_bridge" / "stand_in" / "README.md",
    ROOT / "unreal_bridge" / "templates" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.y*ml")),
]
SOURCES = sorted((ROOT / "torchmultiverse").rglob("*.py"))
SENTENCES = {"reads", "first", "X"}
"""Words that follow the name of the project where it is no command; X stands for what is filled in, as a version."""


@cache
def _tree() -> Any:
    """Return the commands, each of which parses and does nothing."""
    tree: Any = get_command(app)
    for _, command in walk(tree):
        command.callback = lambda **_: None
    return tree


def _parses(line: str) -> None:
    """Run a whole command line, but for the body of the command."""
    words = shlex.split(line, comments=True)
    end = next((k for k, word in enumerate(words) if word in (">", "|", "&&")), len(words))
    _tree().main(words[1:end], standalone_mode=False)


def _named(text: str) -> str | None:
    """Return what is wrong with the beginning of a command line: a command or an option that is not there."""
    words = [word.strip("'\"") for word in text.split()]
    path, command = command_of(_tree(), words)
    begun = [word for word in words[: len(path) + 1] if not word.startswith("-")]
    if (not path and not text.startswith("--")) or (hasattr(command, "commands") and len(begun) > len(path)):
        return f"no command in: {text}"
    known = {"--help"} | {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    unknown = {word.partition("=")[0] for word in words if re.match(r"--\w", word)} - known
    return f"no option {', '.join(sorted(unknown))} in: {text}" if unknown else None


def _short(text: str, quote: str) -> Iterator[str]:
    """Yield the commands that are named without the project's name in front, as `data verify`."""
    for line in re.findall(rf"(?<!\w){quote}([a-z][a-z-]* [^{quote}\n]*){quote}(?!\w)", text):
        words = line.split()
        if words[0] in _tree().commands or " ".join(words[:2]) in RENAMED:
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_of_a_page(page: Path) -> None:
    text = page.read_text().replace("\\\n", " ")
    for block in re.findall(r"```bash\n(.*?)```", text, re.S):
        for line in re.findall(r"^torchmultiverse .*", block, re.M):
            _parses(line)
    inline = re.findall(r"`torchmultiverse ([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    wrong = [_named(" ".join(line.split())) for line in (*inline, *_short(text, "`"))]
    assert not [what for what in wrong if what]


def test_of_help() -> None:
    seen = 0
    for path, command in walk(_tree()):
        assert command.help, path
        lines = re.findall(r"`(torchmultiverse [^`]+)`", command.epilog or "")
        assert lines, f"{' '.join(path)} has no example"
        for line in lines:
            _parses(line)
        texts = [command.help, *(one.help or "" for one in command.params)]
        for line in [line for text in texts for line in _short(text, "'")]:
            assert not _named(line), path
            seen += 1
    assert seen > 20  # 'models list' and others


def test_of_advice() -> None:
    """The table of what engines print has the remedies in it."""
    text = (ROOT / "torchmultiverse" / "serve" / "failures.json").read_text()
    lines = re.findall(r"torchmultiverse (engine \w+[^'\")(;,]*)", text)
    assert len(lines) > 5
    assert not [what for line in lines if (what := _named(line))]


def test_of_messages() -> None:
    seen, wrong = 0, []
    for source in SOURCES:
        for text in _strings(source):
            for line in re.findall(r"(?<!from )(?<![\w.'-])torchmultiverse (\w[^`\n;,)]*)", text):
                if line.split()[0] in SENTENCES:
                    continue
                seen += 1
                wrong.append(_named(line))
            wrong += [_named(line) for line in _short(text, "`")]
    assert not [what for what in wrong if what]
    assert seen > 60


def _strings(source: Path) -> Iterator[str]:
    """Yield the texts of a module, an X for what is filled in later."""
    tree = ast.parse(source.read_text())
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def test_a_command_that_is_not_there_is_found() -> None:
    assert _named("verify X --drop-bad") == "no command in: verify X --drop-bad"
    assert _named("data verfy X") == "no command in: data verfy X"
    assert _named("data verify X --dropbad") == "no option --dropbad in: data verify X --dropbad"
    assert _named("eval data/spar --model M") is None
