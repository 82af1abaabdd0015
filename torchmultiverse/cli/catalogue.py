"""Commands that list what an engine can render."""

from __future__ import annotations

from collections.abc import Sequence

from torchmultiverse.cli.groups import catalogue_group, examples
from torchmultiverse.cli.options import Assets, Engine, Token, tabular
from torchmultiverse.cli.output import print_table, say
from torchmultiverse.engines import Listed
from torchmultiverse.errors import EngineError
from torchmultiverse.tables import Column, Table, number, text

_FACTORS = (
    text("factor"), text("column", ""), text("type"), text("levels", "range or levels"), text("unit"),
    number("low", "", unit="of the factor"), number("high", "", unit="of the factor"), text("default"),
    text("families"), text("what", "what it does"),
)  # fmt: skip
_ORIGIN = (text("pack"), text("licence"), text("source", ""), text("attribution", ""))
_NAMED = (text("name"), text("level", ""), text("aliases", ""), text("what", "what it is"), text("families"))
_LEVELS = (*_NAMED, *_ORIGIN)
_WORLDS = tuple(text("aliases") if column.keys[0] == "aliases" else column for column in _LEVELS)
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
    """List the levels of World_Name; an alias is accepted as well and shows the same world."""
    _list("worlds", _WORLDS, engine, assets, token)


@catalogue_group.command(
    "characters",
    epilog=examples("torchmultiverse catalogue characters", "torchmultiverse catalogue characters --format json"),
)
@tabular(_LEVELS)
def characters(engine: Engine = "builtin", assets: Assets = None, token: Token = None) -> None:
    """List the levels of Character_Name, which Character2_Name has as well."""
    _list("characters", _LEVELS, engine, assets, token)


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


def _list(what: Listed, columns: Sequence[Column], engine: str, assets: list[str] | None, token: str | None) -> None:
    """Print a part of an engine's catalogue; of one that draws from packs, with all that are installed."""
    from torchmultiverse.assets import everything
    from torchmultiverse.connect import engine_catalogue
    from torchmultiverse.engines import catalogue_rows

    catalogue = engine_catalogue(engine, token=token, assets=assets or everything())
    if not catalogue.complete:
        raise EngineError(f"{engine} is of a kind that cannot say what it renders; its documentation may")
    shown = Table(columns)
    rows = catalogue_rows(catalogue, what)
    for row in rows:
        shown.add(*(None if row[column.keys[0]] == "" else row[column.keys[0]] for column in columns))
    print_table(shown)
    packs = {row.get("pack") for row in rows} - {None, "", "procedural"}
    if packs and not assets:
        say("What is of a pack needs the option --assets PACK where something is rendered.")
