"""``torchmultiverse assets build``: packs of free data that this machine has or can get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.assets import PageOption, SizeOption, describe
from torchmultiverse.cli.groups import build_group, examples
from torchmultiverse.cli.output import place, say, working
from torchmultiverse.errors import counted

if TYPE_CHECKING:
    from torchmultiverse.assets import BuildRequest

_MB = 2**20
Out = Annotated[Path | None, typer.Option(help="Write the pack to this folder; default: it is installed.")]
Licences = Annotated[
    list[str] | None,
    typer.Option(
        "--license", help="SPDX identifier, such as CC-BY-4.0; may be repeated. Default: every free licence.",
        autocompletion=completion.licences,
    ),
]  # fmt: skip
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--classes", help="Published class, such as Cofee_Mug; may be repeated. Default: all 151.",
        autocompletion=completion.object_classes,
    ),
]  # fmt: skip
MaxSize = Annotated[int, typer.Option(min=1, max=512, help="Largest file that is fetched for an asset, MiB.")]
MaxFaces = Annotated[int, typer.Option(min=1, help="Most triangles; finer than 300,000 is decimated to that.")]
SheetOption = Annotated[
    bool, typer.Option("--sheet/--no-sheet", help="Render every asset from three sides to a sheet.")
]
SheetSize = Annotated[int, typer.Option(min=64, max=512, help="Side of the sheet's pictures, pixels.")]


@build_group.command(
    "0ad",
    epilog=examples(
        "torchmultiverse assets build 0ad --source 0ad-data_0.0.26-1_all.deb",
        "torchmultiverse assets build 0ad --fetch --out packs/0ad",
    ),
)
def zeroad(
    source: Annotated[
        Path | None, typer.Option(help="The package, public.zip or a folder; default: where it is usually installed.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download the package with apt-get (1.4 GB).")] = False,
    out: Out = None,
    page: PageOption = True,
    size: SizeOption = 192,
) -> None:
    """The animals and props of the game 0 A.D. (CC-BY-SA 3.0), of the Debian package 0ad-data."""
    from torchmultiverse.assets import BuildRequest, build

    pack, missing = build("0ad", BuildRequest(source=source, fetch=fetch, out=out))
    _left_out(missing)
    describe(pack, page, size)


@build_group.command(
    epilog=examples(
        "torchmultiverse assets build sweethome3d --fetch",
        "torchmultiverse assets build sweethome3d --source sweethome3d-furniture.deb --classes Desk",
    ),
)
def sweethome3d(
    source: Annotated[
        Path | None, typer.Option(help="The package or a folder; default: where it is usually installed.")
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download the package with apt-get.")] = False,
    classes: Classes = None,
    out: Out = None,
    page: PageOption = True,
    size: SizeOption = 192,
) -> None:
    """The furniture of Sweet Home 3D (CC0 and CC-BY 3.0), of the Debian package sweethome3d-furniture."""
    from torchmultiverse.assets import BuildRequest, build

    request = BuildRequest(source=source, fetch=fetch, classes=tuple(classes or ()), out=out)
    pack, missing = build("sweethome3d", request)
    _left_out(missing)
    describe(pack, page, size)


@build_group.command(
    epilog=examples(
        "torchmultiverse assets build published --limit 5",
        "torchmultiverse assets build published --list list_assets_pug_imagenet.txt --license CC-BY-4.0",
        "SKETCHFAB_API_TOKEN=… torchmultiverse assets build published --classes Banana",
    )
)
def published(
    source: Annotated[
        Path | None,
        typer.Option("--list", help="Published list of assets, with their licences and authors. Default: all 724."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many assets in all. Default: all.")] = None,
    license: Licences = None,
    classes: Classes = None,
    max_size: MaxSize = 512,
    max_faces: MaxFaces = 5_000_000,
    out: Out = None,
    sheet: SheetOption = True,
    size: SheetSize = 128,
) -> None:
    """The very assets of PUG: ImageNet and AR4T, from Objaverse, and from Sketchfab with a token of yours.

    The token is read from the variable SKETCHFAB_API_TOKEN of the environment alone, and kept nowhere. What cannot be
    had is left to our own object of the same name; the manifest of the pack says which, and why. What was downloaded is
    kept in the cache: a second run goes on where the first ended.
    """
    from torchmultiverse.assets import BuildRequest

    _network(
        "published",
        BuildRequest(
            source=source,
            limit=limit,
            licenses=tuple(license or ()),
            classes=tuple(classes or ()),
            max_bytes=max_size * _MB,
            max_triangles=max_faces,
            out=out,
        ),
        sheet,
        size,
    )


@build_group.command(
    epilog=examples(
        "torchmultiverse assets build objaverse --classes Banana --classes Pizza --limit 3",
        "torchmultiverse assets build objaverse --license CC0-1.0 --license CC-BY-4.0 --max-faces 100000",
    )
)
def objaverse(
    limit: Annotated[int, typer.Option(min=1, max=999, help="At most so many assets of each class.")] = 5,
    license: Licences = None,
    classes: Classes = None,
    wider: Annotated[
        bool, typer.Option("--wider", help="Take categories that hold other things too: airplanes for Airliner.")
    ] = False,
    max_size: MaxSize = 100,
    max_faces: MaxFaces = 500_000,
    out: Out = None,
    sheet: SheetOption = True,
    size: SheetSize = 128,
) -> None:
    """Models of Objaverse for the published classes, by their categories of LVIS, each under its own licence.

    Look at the sheet, and take out what is none of its class with 'torchmultiverse assets drop objaverse NAME…'.
    """
    from torchmultiverse.assets import BuildRequest

    _network(
        "objaverse",
        BuildRequest(
            limit=limit,
            licenses=tuple(license or ()),
            classes=tuple(classes or ()),
            wider=wider,
            max_bytes=max_size * _MB,
            max_triangles=max_faces,
            out=out,
        ),
        sheet,
        size,
    )


@build_group.command(
    epilog=examples(
        "torchmultiverse assets build polyhaven --kind hdris --limit 10",
        "torchmultiverse assets build polyhaven --name kloofendal_43d_clear_puresky --resolution 4k",
    )
)
def polyhaven(
    kind: Annotated[
        list[str] | None, typer.Option(help="hdris, models or textures; may be repeated. Default: all.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Its name in the addresses of polyhaven.com; may be repeated. Default: the most downloaded."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many assets of each kind. Default: 20, or all that are named.")
    ] = None,
    resolution: Annotated[
        str, typer.Option(help="Of maps and textures, as 1k, 2k, 4k. Default: 2k for environments, 1k for models.")
    ] = "",
    max_size: MaxSize = 512,
    max_faces: MaxFaces = 5_000_000,
    out: Out = None,
    page: PageOption = True,
    size: SizeOption = 192,
) -> None:
    """Environment maps, models and textures of Poly Haven, all CC0."""
    from torchmultiverse.assets import POLYHAVEN_CREDIT, BuildRequest, build

    request = BuildRequest(
        kinds=tuple(kind or ()),
        names=tuple(name or ()),
        limit=limit,
        resolution=resolution,
        max_bytes=max_size * _MB,
        max_triangles=max_faces,
        out=out,
    )
    pack, missing = build("polyhaven", request)
    say(POLYHAVEN_CREDIT)
    _left_out(missing)
    describe(pack, page, size)


def _left_out(missing: list[str]) -> None:
    for line in missing:
        say(f"left out: {line}")


def _network(name: str, request: BuildRequest, sheet: bool, size: int) -> None:
    """Build a pack of many people's models, say what is missing, and draw its contact sheet."""
    from torchmultiverse.assets import build, pack_sheet
    from torchmultiverse.files import atomic_file, disk_errors

    pack, missing = build(name, request)
    _left_out(missing)
    describe(pack, remarks=False)
    if sheet:
        path = pack.folder / "sheet.png"
        with working("rendering") as progress:
            progress(f"rendering the sheet of {counted(len(pack.manifest.assets), 'asset')}", True)
            image = pack_sheet(pack, side=size, progress=lambda one: progress(f"rendering {one}", False))
        with disk_errors(path), atomic_file(path) as file:
            image.save(file, "PNG")
        place("sheet", path)
