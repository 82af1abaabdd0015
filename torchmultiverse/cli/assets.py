"""``torchmultiverse assets``: packs of meshes and environment maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import assets_group, examples
from torchmultiverse.cli.options import tabular
from torchmultiverse.cli.output import place, print_table, say, warn, working
from torchmultiverse.errors import AssetError, counted
from torchmultiverse.tables import Table, number, text

if TYPE_CHECKING:
    from torchmultiverse.assets import Pack

_PACKS = (text("pack"), number("characters"), number("environments"), number("textures"), text("licences"))
_KINDS: tuple[Literal["character", "environment", "texture"], ...] = ("character", "environment", "texture")
_ASSETS = (
    text("asset"), text("kind"), text("licence"), text("attribution"), text("source"), number("triangles"),
)  # fmt: skip
PackName = Annotated[str, typer.Argument(help="Of an installed pack.", autocompletion=completion.packs)]
PageOption = Annotated[bool, typer.Option("--page/--no-page", help="Render every asset from eight sides to a page.")]
SizeOption = Annotated[int, typer.Option(min=64, max=1024, help="Side of the page's pictures, pixels.")]


@assets_group.command(
    epilog=examples(
        "torchmultiverse assets add my_animals/",
        "torchmultiverse assets add my_objects/ --table classes.csv",
    )
)
def add(
    folder: Annotated[
        Path, typer.Argument(help="With assets.json or assets.csv; GLB, glTF, OBJ or PLY meshes, HDR or EXR maps.")
    ],
    name: Annotated[str | None, typer.Option(help="Of the pack; default: the manifest's, else the folder's.")] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON of file, class, name, license, author, …; default: assets.json or assets.csv in it."
        ),
    ] = None,
    page: PageOption = True,
    size: SizeOption = 192,
) -> None:
    """Check what a folder holds, scale and ground it, and install it as a pack; the same name is replaced.

    A table says which file is of which class: an asset of the class Desk without a name of its own is called Desk_1,
    Desk_2 and so on, and stands for the object of that name wherever a spec draws from the pack first.
    """
    from torchmultiverse.assets import add as install

    with working("reading") as progress:
        pack = install(folder, name, table, progress)
    describe(pack, page, size)


@assets_group.command(epilog=examples("torchmultiverse assets drop mine Desk_3 Sofa_1"))
def drop(
    name: PackName, unwanted: Annotated[list[str], typer.Argument(metavar="ASSET...", help="Names of its assets.")]
) -> None:
    """Take assets out of an installed pack, such as those that a contact sheet shows to be none."""
    from torchmultiverse.assets import drop as leave_out

    pack = leave_out(name, unwanted)
    say(f"{pack.name}: {len(pack.manifest.assets)} assets are left")


@assets_group.command("list", epilog=examples("torchmultiverse assets list"))
@tabular(_PACKS)
def list_packs() -> None:
    """List the installed packs."""
    from torchmultiverse.assets import PROCEDURAL, asset_source, installed, open_pack

    shown = Table(_PACKS)
    for name in installed():
        pack = open_pack(name)
        licences = sorted({item.license for item in pack.manifest.assets})
        shown.add(name, *(len(pack.names(kind)) for kind in _KINDS), licences)
    own = asset_source([PROCEDURAL])
    kinds = (len(own.names()), None, None)
    shown.add(PROCEDURAL, *kinds, sorted({asset.license for asset in own.assets()}))
    print_table(shown)


@assets_group.command(epilog=examples("torchmultiverse assets show 0ad"))
@tabular(_ASSETS)
def show(
    name: PackName,
    page: Annotated[Path | None, typer.Option(help="Render the turntable page to this file.")] = None,
    size: SizeOption = 192,
) -> None:
    """Print what a pack holds and whose it is."""
    from torchmultiverse.assets import PAGE, PROCEDURAL, asset_source, open_pack

    shown = Table(_ASSETS)
    if name == PROCEDURAL:
        if page is not None:
            raise AssetError(f"{PROCEDURAL}: the package's own are shown by its documentation; --page is for packs")
        for asset in asset_source([PROCEDURAL]).assets():
            shown.add(asset.name, asset.kind, asset.license, asset.attribution, asset.source, None)
        print_table(shown)
        return
    pack = open_pack(name)
    for item in pack.manifest.assets:
        shown.add(item.name, item.kind, item.license, item.attribution, item.source, item.triangles or None)
    print_table(shown)
    if pack.manifest.filled:
        say(f"left to procedural objects of the same name ({len(pack.manifest.filled)}):")
        for one, why in pack.manifest.filled.items():
            say(f"{one}: {why}")
    _warn(pack)
    if page is not None:
        render_page(pack, page, size)
    elif (pack.folder / PAGE).is_file():
        place("page", pack.folder / PAGE)


@assets_group.command(epilog=examples("torchmultiverse assets remove mine"))
def remove(name: PackName) -> None:
    """Delete an installed pack."""
    from torchmultiverse.assets import remove as delete

    delete(name)
    say(f"removed {name}")


def describe(pack: Pack, page: bool = False, size: int = 0, remarks: bool = True) -> None:
    """Say what was installed, how to use it, and where it can be looked at; remarks go to standard error.

    Args:
        pack: that was installed.
        page: render it to a page.
        size: of the page's pictures.
        remarks: each of them, or how many there are.
    """
    from torchmultiverse.assets import PAGE

    if remarks:
        _warn(pack)
    elif count := sum(len(item.notes) for item in pack.manifest.assets):
        warn(f"{count} remarks on its assets: torchmultiverse assets show {pack.name}")
    counts = [counted(count, kind) for kind in _KINDS if (count := len(pack.names(kind)))]
    say(f'{pack.name}: {", ".join(counts)}; in a spec: "assets": ["{pack.name}", "procedural"]')
    if page:
        render_page(pack, pack.folder / PAGE, size)


def _warn(pack: Pack) -> None:
    """Say what was found on each asset when it was installed."""
    for item in pack.manifest.assets:
        for note in item.notes:
            warn(f"warning: {item.name}: {note}")


def render_page(pack: Pack, page: Path, size: int) -> None:
    """Render the page of a pack to a file."""
    from torchmultiverse.assets import turntable
    from torchmultiverse.files import disk_errors, write_atomic

    with working("rendering") as progress:
        progress(f"rendering the page of {counted(len(pack.manifest.assets), 'asset')}", True)
        text = turntable(pack, size=size, progress=lambda name: progress(f"rendering {name}", False))
    with disk_errors(page):
        write_atomic(page, text.encode())
    place("page", page)
