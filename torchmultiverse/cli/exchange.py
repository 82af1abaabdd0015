"""Commands that bring datasets in, take them out, and put them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from torchmultiverse.errors import DatasetError

_out = Console()


@contextmanager
def _bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal; yields what is told ``(done, of)``."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not Console(stderr=True).is_terminal) as progress:
        task = progress.add_task(title, total=total)

        def tick(done: int, of: int | None = None) -> None:
            progress.update(task, completed=done, total=total if of is None else of)

        yield tick


def import_(
    source: Annotated[Path, typer.Argument(help="Unpacked archive, its CSV file, or a folder of Parquet files.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the dataset; an interrupted import is continued.")],
    family: Annotated[
        str | None, typer.Option(help="Animals, ImageNet, SPAR, AR4T or Custom; default: told from the columns.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the pictures; default: what the source says, or PUG's.")
    ] = None,
    generative: Annotated[
        bool | None,
        typer.Option("--generative/--no-generative", help="Whether generative models may be trained on them."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of rows that name none; default: what file names tell, or train.")
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option(
            help="Rows not wanted, a filter as in 'render --where'; or 'broken': the goldfish of PUG: Animals, "
            "of which its publisher calls 192 badly rendered."
        ),
    ] = None,
) -> None:
    """Make a dataset of a published archive (PNG and CSV) or of its Parquet mirror."""
    from torchmultiverse.store import import_dataset, licence_of

    with _bar("importing") as tick:
        made = import_dataset(
            source,
            out,
            family=family,
            licence=licence,
            generative=generative,
            split=split,
            leave_out=leave_out,
            tick=tick,
        )
    terms = licence_of(made.manifest)
    rule = "" if terms.generative else "; not for training generative models"
    family = made.manifest.identity["family"]
    _out.print(f"{out}: {len(made):,} pictures of the family {family}, {terms.name}{rule}", highlight=False)


def export(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    out: Annotated[Path, typer.Option("--out", help="Folder that is written.")],
    layout: Annotated[
        Literal["folder", "webdataset"],
        typer.Option(help="folder: PNG, the family's published CSV, metadata.csv; webdataset: tar files."),
    ] = "folder",
    where: Annotated[str | None, typer.Option(help="Only some rows, as in 'render'.")] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write into a folder that is not empty; what an earlier export left goes."),
    ] = False,
) -> None:
    """Write a dataset as a folder of pictures with a CSV, or as WebDataset."""
    from torchmultiverse.store import export_folder, export_webdataset, open_dataset

    chosen = open_dataset(dataset)
    chosen = chosen.where(where) if where else chosen
    if len(chosen) == 0:
        raise DatasetError(f"no row of {dataset} passes the filter {where!r}")
    with _bar("exporting", len(chosen)) as tick:
        if layout == "folder":
            what = f"{len(chosen):,} pictures and {export_folder(chosen, out, tick, overwrite=overwrite).name}"
        else:
            what = f"{len(export_webdataset(chosen, out, tick, overwrite=overwrite)):,} tar files"
    _out.print(f"{out}: {what}", highlight=False)


def push(
    dataset: Annotated[Path, typer.Argument(help="Folder of a finished dataset.")],
    repository: Annotated[str, typer.Argument(help="On the Hugging Face Hub: owner/name.")],
    private: Annotated[bool, typer.Option("--private/--public", help="Of a repository that is made now.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Send a dataset to the Hugging Face Hub: its Parquet files, its card and its manifest. Other ones there go."""
    from torchmultiverse.store import files_to_push
    from torchmultiverse.store import push as send

    files = files_to_push(dataset)
    size = sum(file.stat().st_size for file in files)
    what = f"{len(files)} files, {size / 1e6:,.1f} MB"
    if dry_run:
        for file in files:
            _out.print(f"{file.relative_to(dataset)}", highlight=False)
        _out.print(f"{what} would go to {repository} ({'private' if private else 'public'})", highlight=False)
        return
    _out.print(f"{what}: {send(dataset, repository, private=private)}", highlight=False)


def diff(
    first: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    second: Annotated[Path, typer.Argument(help="Folder of another.")],
    pixels: Annotated[bool, typer.Option("--pixels/--no-pixels", help="Whether pictures are compared.")] = True,
) -> None:
    """Say in what two datasets differ: scenes, labels, pictures. Exit code 1 where they do."""
    from torchmultiverse.store import diff as compare
    from torchmultiverse.store import open_dataset

    with _bar("comparing") as tick:
        found = compare(open_dataset(first), open_dataset(second), pixels, tick)
    _out.print(str(found), highlight=False, markup=False)
    if not found.same:
        raise typer.Exit(1)


def merge(
    datasets: Annotated[list[Path], typer.Argument(help="Folders of at least two datasets of one family.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new dataset.")],
    common: Annotated[bool, typer.Option("--common", help="Keep only the columns that all have.")] = False,
    keep_first: Annotated[
        bool, typer.Option("--keep-first", help="Of a scene that several have, keep the first picture.")
    ] = False,
) -> None:
    """Put datasets together; the new one says where each row is from and under which terms it stands."""
    from torchmultiverse.store import merge as put_together
    from torchmultiverse.store import open_dataset

    with _bar("merging") as tick:
        made = put_together(
            [open_dataset(path) for path in datasets], out, common=common, keep_first=keep_first, tick=tick
        )
    _out.print(f"{out}: {len(made):,} pictures from {len(datasets)} datasets", highlight=False)
