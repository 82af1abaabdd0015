"""Commands that list what an engine can render."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import catalogue_group, examples
from torchmultiverse.cli.options import Assets, Engine, Token, tabular
from torchmultiverse.cli.output import print_table, say
from torchmultiverse.engines import Listed
from torchmultiverse.errors import EngineError, SpecError, nearest
from torchmultiverse.tables import Column, Table, number, text

if TYPE_CHECKING:
    from torchmultiverse.engines import CharacterClass

_KINDS = {"animal": ("animals", "animal"), "object": ("objects", "object"), "own": ("own",), "": ()}
_FACTORS = (
    text("factor"), text("column", ""), text("type"), text("levels", "range or levels"), text("unit"),
    number("low", "", unit="of the factor"), number("high", "", unit="of the factor"), text("default"),
    text("families"), text("what", "what it does"),
)  # fmt: skip
_ORIGIN = (text("pack"), text("licence"), text("source", ""), text("attribution", ""))
_NAMED = (text("name"), text("level", ""), text("aliases", ""), text("what", "what it is"), text("families"))
_LEVELS = (*_NAMED, *_ORIGIN)
_CHARACTERS = (text("name"), text("level", ""), text("aliases", ""), text("class"), *_LEVELS[3:])
_CLASSES = (
    number("id", "number"), text("name"), text("kind"), text("what", "what it is"), text("synset", "WordNet"),
    text("imagenet", "ImageNet-1k"), number("count", "characters"), text("characters", ""), text("families"),
)  # fmt: skip
_WORLDS = (text("name"), text("level", ""), text("aliases"), *_NAMED[3:], text("regions"), *_ORIGIN)
_LIGHTS = (text("name"), text("level"), text("families"))


@catalogue_group.command(
    "factors",
    epilog=examples(
        "torchmultiverse catalogue factors",
        "torchmultiverse catalogue factors --engine ws://127.0.0.1:8080 --format csv",
    ),
)
@tabular(_FACTORS)
def factors(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the factors of a scene: type, range or levels, unit, default, which published families vary it."""
    _list("factors", _FACTORS, engine, assets, token)


@catalogue_group.command(
    "worlds", epilog=examples("torchmultiverse catalogue worlds", "torchmultiverse catalogue worlds --assets mine")
)
@tabular(_WORLDS)
def worlds(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the levels of World_Name; an alias shows the same world, regions are levels of World_Region it has."""
    _list("worlds", _WORLDS, engine, assets, token)


@catalogue_group.command(
    "characters",
    epilog=examples(
        "torchmultiverse catalogue characters", "torchmultiverse catalogue characters --of Cofee_Mug --of Zebra"
    ),
)
@tabular(_CHARACTERS)
def characters(
    of: Annotated[
        list[str] | None,
        typer.Option(
            "--of",
            help="Of this class alone, or animals, objects, own (of packs); may be repeated. Default: all.",
            autocompletion=completion.classes,
        ),
    ] = None,
    engine: Engine = "builtin",
    assets: Assets = None,
    token: Token = None,
) -> None:
    """List the levels of Character_Name, which Character2_Name has as well."""
    _list("characters", _CHARACTERS, engine, assets, token, of)


@catalogue_group.command(
    "classes",
    epilog=examples("torchmultiverse catalogue classes", "torchmultiverse catalogue classes --format csv"),
)
@tabular(_CLASSES)
def classes(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the classes of characters: what the numbers in the pass 'class' mean, and how many are of each."""
    _list("classes", _CLASSES, engine, assets, token)


@catalogue_group.command("textures", epilog=examples("torchmultiverse catalogue textures --format md"))
@tabular(_LEVELS)
def textures(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the levels of Character_Texture, which Character2_Texture has as well."""
    _list("textures", _LEVELS, engine, assets, token)


@catalogue_group.command(
    "lights",
    epilog=examples("torchmultiverse catalogue lights", "torchmultiverse show Opera Zebra --set Scene_Light=magenta"),
)
@tabular(_LIGHTS)
def lights(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the levels of Scene_Light; in specs, filters and commands the name stands for the level."""
    _list("lights", _LIGHTS, engine, assets, token)


def _list(
    what: Listed,
    columns: Sequence[Column],
    engine: str,
    assets: list[str] | None,
    token: str | None,
    of: Sequence[str] | None = None,
) -> None:
    """Print a part of an engine's catalogue; of one that draws from packs, with all that are installed."""
    from torchmultiverse.assets import everything
    from torchmultiverse.connect import engine_catalogue
    from torchmultiverse.engines import catalogue_rows

    catalogue = engine_catalogue(engine, token=token, assets=assets or everything())
    if not catalogue.complete:
        raise EngineError(f"{engine} is of a kind that cannot say what it renders; its documentation may")
    shown = Table(columns)
    rows = catalogue_rows(catalogue, what)
    if of:
        wanted = _members(catalogue.classes, of)
        rows = [row for row in rows if row["level"] in wanted]
    for row in rows:
        shown.add(*(None if row[column.keys[0]] == "" else row[column.keys[0]] for column in columns))
    print_table(shown)
    packs = {row.get("pack") for row in rows} - {None, "", "procedural"}
    if packs and not assets:
        say("What is of a pack needs the option --assets PACK where something is rendered.")


def _called(one: CharacterClass) -> tuple[str, ...]:
    """Return what a class is chosen by."""
    return (one.name.casefold(), one.display.casefold(), *_KINDS.get(one.kind, ()))


def _members(classes: Sequence[CharacterClass], of: Sequence[str]) -> set[str]:
    """Return the characters of some classes, by name or kind; as people write it, too."""
    found: set[str] = set()
    for wanted in of:
        word = wanted.casefold()
        chosen = [one for one in classes if word in _called(one)]
        if not chosen:
            known = [*(name for kind in _KINDS.values() for name in kind[:1]), *(one.name for one in classes)]
            raise SpecError(
                f"--of {wanted}: no such class.{nearest(wanted, known)} See: torchmultiverse catalogue classes"
            )
        found.update(name for one in chosen for name in one.characters)
    return found
