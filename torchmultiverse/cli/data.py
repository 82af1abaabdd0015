"""Commands that bring datasets in, take them out, put them together, and check them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import data_group, examples
from torchmultiverse.cli.options import Dataset, Engine, Images, Label, Out, Save, Seed, Token, tabular
from torchmultiverse.cli.output import check_image_file, place, print_table, save_json, say
from torchmultiverse.errors import DatasetError
from torchmultiverse.tables import Table, share, text

_LEAKS = (text("factor"), text("feature", "told from"), share("accuracy"), share("chance"))


@contextmanager
def _bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal; yields what is told ``(done, of)``."""
    from torchmultiverse.progress import progress_bar

    with progress_bar() as progress:
        task = progress.add_task(title, total=total)

        def tick(done: int, of: int | None = None) -> None:
            progress.update(task, completed=done, total=total if of is None else of)

        yield tick


@data_group.command(
    "import",
    epilog=examples(
        "torchmultiverse data import PUG_SPAR --out data/pug_spar",
        "torchmultiverse data import PUG_AR4T/PUG_ARmerged_test.csv --split test --out data/ar4t_test",
        "torchmultiverse data import ARO --layout aro-relation --out data/vg_relation",
        "torchmultiverse data import winoground --layout winoground --out data/winoground",
    ),
)
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="Unpacked archive, its CSV file, or a folder of Parquet files; with --layout the folder of ARO, of "
            "COCO or Flickr30k, or of Winoground, or the JSON file in it."
        ),
    ],
    out: Out,
    layout: Annotated[
        Literal["pug", "aro-relation", "aro-attribution", "aro-order", "winoground"],
        typer.Option(
            help="What is there: pug, pictures and factors; else photographs with true and false captions. Word orders "
            "(aro-order) are drawn once, from --seed, and kept."
        ),
    ] = "pug",
    family: Annotated[
        str | None, typer.Option(help="Animals, ImageNet, SPAR, AR4T or Custom; default: told from the columns.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of the pictures; default: what the source says, or PUG's.")
    ] = None,
    generative: Annotated[
        bool | None,
        typer.Option(
            "--generative/--no-generative",
            help="Whether generative models may be trained on them. Default: not those of PUG.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of rows that name none; default: what file names tell, or train.")
    ] = None,
    leave_out: Annotated[
        str | None,
        typer.Option(
            help="Rows not wanted, a filter as in 'render --where'; or 'broken': the goldfish of PUG: Animals, "
            "of which its publisher calls 192 badly rendered. Default: all are wanted."
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Make a dataset of a published archive (PNG and CSV), of its Parquet mirror, or of ARO's or Winoground's files."""
    from torchmultiverse.store import import_captions, import_dataset, licence_of

    if layout != "pug":
        for name, value in {"--family": family, "--generative": generative, "--leave-out": leave_out}.items():
            if value is not None:
                raise typer.BadParameter(f"means nothing with --layout {layout}", param_hint=name)
        with _bar("importing") as tick:
            made = import_captions(source, out, layout, seed=seed, licence=licence, split=split, tick=tick)
        say(f"{out}: {len(made):,} rows of the layout {layout}, licence {licence_of(made.manifest).name}")
        return
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
    say(f"{out}: {len(made):,} pictures of the family {family}, {terms.name}{rule}")


@data_group.command(
    "export",
    epilog=examples(
        "torchmultiverse data export data/spar --out spar_png",
        "torchmultiverse data export data/spar --out tars --layout webdataset --where 'world_name = Desert'",
        "torchmultiverse data export data/video --out data/video/videos --layout mp4",
    ),
)
def export(
    dataset: Dataset,
    out: Out,
    layout: Annotated[
        Literal["folder", "webdataset", "mp4"],
        typer.Option(
            help="folder: PNG, the family's published CSV, metadata.csv; webdataset: tar files; mp4: one per clip."
        ),
    ] = "folder",
    where: Annotated[str | None, typer.Option(help="Only some rows, as in 'render'. Default: all.")] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Write into a folder that is not empty; what an earlier export left goes."),
    ] = False,
) -> None:
    """Write a dataset as a folder of pictures with a CSV, as WebDataset, or its clips as MP4."""
    from torchmultiverse.store import export_folder, export_mp4, export_webdataset, open_dataset

    chosen = open_dataset(dataset)
    chosen = chosen.where(where) if where else chosen
    if len(chosen) == 0:
        raise DatasetError(f"no row of {dataset} passes the filter {where!r}")
    with _bar("exporting", len(chosen)) as tick:
        if layout == "folder":
            what = f"{len(chosen):,} pictures and {export_folder(chosen, out, tick, overwrite=overwrite).name}"
        elif layout == "mp4":
            what = f"{len(export_mp4(chosen, out, tick, overwrite=overwrite)):,} clips"
        else:
            what = f"{len(export_webdataset(chosen, out, tick, overwrite=overwrite)):,} tar files"
    say(f"{out}: {what}")


@data_group.command(
    "sheet",
    epilog=examples(
        "torchmultiverse data sheet data/spar",
        "torchmultiverse data sheet data/animals --by world_name --columns camera_yaw --out worlds.jpg",
        "torchmultiverse data sheet data/animals --by character_name --count 8 --where 'world_name = Desert'",
    ),
)
def sheet(
    data: Images,
    out: Annotated[Path, typer.Option("--out", help="File of the sheet: .jpg, .png or .webp.")] = Path("sheet.jpg"),
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Factor with a row for each level. Default: pictures at random.",
            autocompletion=completion.columns,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns", help="Factor with a column for each level. Default: none.", autocompletion=completion.columns
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Column said below the pictures; may be repeated. Default: conditions that are not at "
            "their defaults, or two factors that vary.",
            autocompletion=completion.columns,
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Pictures. Default: 24; arranged by one factor, 8 of each level at most.")
    ] = None,
    side: Annotated[int, typer.Option(min=16, max=1024, help="Pixels of a picture's longer side.")] = 160,
    where: Annotated[str | None, typer.Option(help="Only some rows, as in 'render'. Default: all.")] = None,
    seed: Seed = 0,
) -> None:
    """Draw a contact sheet: pictures at random, or arranged by the levels of one or two factors."""
    import numpy as np

    from torchmultiverse.store import dataset_sheet, open_dataset, open_images

    check_image_file(out)
    images = open_dataset(data).where(where) if where else open_images(data)
    if not len(images):
        raise DatasetError(f"no row of {data} passes the filter {where!r}")
    rng = np.random.default_rng(seed)
    made = dataset_sheet(images, rng, by=by, across=columns, labels=label, count=count, side=side)
    made.save(out)
    same = ", ".join(f"{name} = {value}" for name, value in made.same.items())
    say(f"{len(made.rows):,} of {len(images):,} pictures" + (f", all with {same}" if same else ""))
    place("sheet", out)


@data_group.command("push", epilog=examples("torchmultiverse data push data/spar me/spar --public"))
def push(
    dataset: Dataset,
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
            say(f"{file.relative_to(dataset)}")
        say(f"{what} would go to {repository} ({'private' if private else 'public'})")
        return
    say(f"{what}: {send(dataset, repository, private=private)}")


@data_group.command("diff", epilog=examples("torchmultiverse data diff data/spar data/spar_again"))
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
    say(str(found))
    if not found.same:
        raise typer.Exit(1)


@data_group.command(
    "merge", epilog=examples("torchmultiverse data merge data/spar data/pug_spar --common --out data/both")
)
def merge(
    datasets: Annotated[list[Path], typer.Argument(help="Folders of at least two datasets of one family.")],
    out: Out,
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
    say(f"{out}: {len(made):,} pictures from {len(datasets)} datasets")


@data_group.command("split", epilog=examples("torchmultiverse data split data/animals --per-class 50 --out sets.json"))
def split(
    data: Images,
    out: Annotated[Path, typer.Option("--out", help="File of the splits.")] = Path("sets.json"),
    label: Label = None,
    per_class: Annotated[int, typer.Option(min=1, help="Pictures of each class in A, and as many in B.")] = 50,
    public: Annotated[int | None, typer.Option(min=1, help="Public ones of each class. Default: what is left.")] = None,
    shared: Annotated[int, typer.Option(min=0, help="Of each class, seen by both models.")] = 0,
    held_out: Annotated[int, typer.Option(min=0, help="Of each class, seen by none, for the control.")] = 0,
    seed: Seed = 0,
) -> None:
    """Divide a dataset into what model A sees, what B sees, and public pictures that none sees."""
    from torchmultiverse.analyze import draw_splits
    from torchmultiverse.store import columns_of, dataset_name, label_column, open_images

    pictures = open_images(data)
    name = label_column(columns_of(pictures), label, dataset_name(pictures))
    found = draw_splits(pictures, name, per_class, public, shared, held_out, seed)
    found.save(out)
    say("  ".join(f"{name}: {len(rows):,}" for name, rows in found.rows.items()))
    place("sets", out)


@data_group.command(
    "verify",
    epilog=examples(
        "torchmultiverse data verify data/spar",
        "torchmultiverse data verify data/spar --render 20 --engine builtin",
    ),
)
def verify(
    dataset: Dataset,
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Delete bad shards, so that render makes them again.")
    ] = False,
    again: Annotated[
        int, typer.Option("--render", min=0, help="Render so many random scenes once more and compare the pictures.")
    ] = 0,
    engine: Engine = "builtin",
    seed: Seed = 0,
    token: Token = None,
) -> None:
    """Check a dataset's shards: hashes, row counts, that every label is its scene's, and that every picture decodes."""
    from torchmultiverse.store import verify as check

    result = check(dataset, drop_bad)
    say(str(result))
    if result.problems:
        raise typer.Exit(DatasetError.exit_code)
    if again:
        import numpy as np

        from torchmultiverse.connect import open_engine
        from torchmultiverse.farm import rerender
        from torchmultiverse.store import open_dataset, spec_of

        spec = spec_of(open_dataset(dataset).manifest)
        source = open_engine(engine, token=token, assets=spec.assets if spec else [])
        try:
            agreement = rerender(dataset, source, again, np.random.default_rng(seed))
        finally:
            source.close()
        say(str(agreement))
        if not agreement.same:
            raise typer.Exit(DatasetError.exit_code)


@data_group.command(
    "quality",
    epilog=examples(
        "torchmultiverse data quality data/spar", "torchmultiverse data quality data/spar --save quality.json"
    ),
)
def quality(
    dataset: Dataset,
    save: Save = None,
) -> None:
    """Report the quality of a dataset's pictures: what fails, duplicates, and factor levels that change nothing."""
    from torchmultiverse.store import inspect, open_dataset

    result = inspect(open_dataset(dataset))
    save_json(save, result.as_dict())
    say(str(result))


@data_group.command("leakage", epilog=examples("torchmultiverse data leakage data/spar"))
@tabular(_LEAKS)
def leakage(dataset: Dataset) -> None:
    """Say which factors can be told from file size, brightness, row or shard, without looking at a picture."""
    from torchmultiverse.store import leakage as look
    from torchmultiverse.store import open_dataset

    found = look(open_dataset(dataset))
    shown = Table(_LEAKS)
    for leak in found:
        shown.add(leak.factor, leak.feature, leak.accuracy, leak.chance, style="yellow" if leak.counts else None)
    print_table(shown)
    if not found:
        say("no factor varies enough to be told")
