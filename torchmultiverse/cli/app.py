"""The ``torchmultiverse`` command. Bodies import what they need, so that ``--help`` is immediate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from torchmultiverse.cli import analyzing, comparing, exchange, training
from torchmultiverse.cli import dejavu as memorizing
from torchmultiverse.cli.assets import app as assets_app
from torchmultiverse.cli.counterfactual import counterfactuals
from torchmultiverse.cli.equivariance import equivariance
from torchmultiverse.cli.evaluating import evaluate_command, report
from torchmultiverse.cli.farm import app as farm_app
from torchmultiverse.cli.leaderboard import card, leaderboard_app
from torchmultiverse.cli.models import models_app
from torchmultiverse.cli.options import AssetsOption, EngineOption, TokenOption
from torchmultiverse.cli.planning import plan as plan_command
from torchmultiverse.cli.rcdm import rcdm_app
from torchmultiverse.cli.rendering import EXAMPLES, render
from torchmultiverse.cli.specs import specs_app
from torchmultiverse.errors import DatasetError, EngineError, SpecError, TorchMultiverseError, missing_extra
from torchmultiverse.version import __version__

out = Console()
err = Console(stderr=True)

app = typer.Typer(
    help="Controlled visual worlds for testing vision models: JSON spec in, factor-labelled pictures and scores out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
engine_app = typer.Typer(help="What engines there are and what they can render.", no_args_is_help=True)
app.add_typer(engine_app, name="engine")
app.add_typer(assets_app, name="assets")
app.add_typer(farm_app, name="farm")
app.add_typer(models_app, name="models")
app.add_typer(leaderboard_app, name="leaderboard")
app.add_typer(memorizing.dejavu_app, name="dejavu")
app.add_typer(rcdm_app, name="rcdm")
app.add_typer(specs_app, name="specs")
app.command(epilog=EXAMPLES)(render)
app.command(epilog="Example: `torchmultiverse card results/ --model M --out README.md`")(card)
app.command("eval", epilog="Example: `torchmultiverse eval data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k`")(
    evaluate_command
)
app.command(epilog="Example: `torchmultiverse report results/ --out report/`")(report)
app.command(epilog="Example: `torchmultiverse compare results/ --task relation`")(comparing.compare)
app.command(epilog="Example: `torchmultiverse slices results/ --model timm:resnet50 --gallery data/spar`")(
    comparing.slices
)
app.command(
    epilog="Examples: `torchmultiverse why results/ timm:resnet50 timm:vit_base_patch16_224`, "
    "`torchmultiverse why mine/ M M --other theirs/`"
)(comparing.why)
app.command(
    epilog="Example: `torchmultiverse finetune data/ar4t --model open_clip:ViT-B-32-quickgelu/openai --out tuned`"
)(training.finetune)
app.command(
    "held-out", epilog="Example: `torchmultiverse held-out data/animals --factor world_name --count 14 --keep 0`"
)(training.held_out)
app.command(epilog="Example: `torchmultiverse sensitivity data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k`")(
    training.sensitivity
)
app.command(epilog="Example: `torchmultiverse interactions results/ --factor world_name --factor camera_yaw`")(
    comparing.interactions
)
app.command(epilog="Example: `torchmultiverse correlate results/ --imagenet results-imagenet.csv`")(comparing.correlate)
app.command(epilog="Example: `torchmultiverse ssl data/animals --method vicreg --epochs 50 --out encoder`")(
    memorizing.ssl
)
app.command(epilog="Example: `torchmultiverse layers timm:vit_base_patch16_224`")(analyzing.layers)
app.command(
    epilog="Example: `torchmultiverse guillotine data/animals --set method=vicreg --set epochs=30 --out guillotine`"
)(analyzing.guillotine)
app.command(epilog="Example: `torchmultiverse analyze timm:vit_base_patch16_224 --data data/animals --all`")(
    analyzing.analyze
)
app.command("next-renders", epilog="Example: `torchmultiverse next-renders results/ A B --factor world_name`")(
    comparing.next_renders
)
app.command(epilog="Example: `torchmultiverse plan animals --factor Character_Texture --by World_Name --detect 3`")(
    plan_command
)

app.command(
    "import",
    epilog="Examples: `torchmultiverse import PUG_SPAR --out data/pug_spar`, "
    "`torchmultiverse import PUG_AR4T/PUG_ARmerged_test.csv --split test --out data/ar4t_test`",
)(exchange.import_)
app.command(
    epilog="Examples: `torchmultiverse export data/spar --out spar_png`, "
    "`torchmultiverse export data/spar --out tars --layout webdataset --where 'world_name = Desert'`"
)(exchange.export)
app.command(epilog="Example: `torchmultiverse counterfactuals results/ data/spar --factor world_name`")(counterfactuals)
app.command(epilog="Example: `torchmultiverse equivariance data/animals --model open_clip:ViT-B-32/laion2b_s34b_b79k`")(
    equivariance
)
app.command(epilog="Example: `torchmultiverse push data/spar me/spar --public`")(exchange.push)
app.command(epilog="Example: `torchmultiverse diff data/spar data/spar_again`")(exchange.diff)
app.command(epilog="Example: `torchmultiverse merge data/spar data/pug_spar --common --out data/both`")(exchange.merge)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"torchmultiverse {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; known errors end with their exit code and one clear message."""
    try:
        app()
    except TorchMultiverseError as error:
        err.print(f"[bold red]error:[/] {_escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
        if missing is None:
            raise
        err.print(f"[bold red]error:[/] {_escape(str(missing))}", highlight=False, soft_wrap=True)
        sys.exit(missing.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@app.command(epilog="Example: `torchmultiverse serve --port 8080`, then open http://127.0.0.1:8080")
def serve(
    engine: EngineOption = "builtin",
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of players and of the page; 0: a free one.")] = 8080,
    streamer_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of streamers.")] = 8888,
    assets: AssetsOption = None,
    token: TokenOption = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Another origin, https://host:port, whose pages may connect; repeatable.")
    ] = None,
) -> None:
    """Run a signalling server and an engine until Ctrl-C; the page shows the engine live."""
    from torchmultiverse.serve import serve_forever

    if assets:
        from torchmultiverse.assets import check_packs

        check_packs(assets)
    serve_forever(
        engine=engine,
        host=host,
        player_port=port,
        streamer_port=streamer_port,
        token=token,
        assets=assets or (),
        allow_origins=allow_origin or (),
    )


@engine_app.command("list")
def engine_list() -> None:
    """List the engines that can be named here."""
    from torchmultiverse.engines import engine_names, find_engine

    table = Table("engine", "what it is", box=None, padding=(0, 2))
    for name in engine_names():
        try:
            summary = find_engine(name).summary
        except EngineError as error:
            summary = str(error)
        table.add_row(name, _escape(summary))
    table.add_row("ws://host:port", "a signalling server's player port, whatever streams behind it")
    table.add_row("path/to/Game.sh", "a packaged Unreal binary, started and stopped for you")
    out.print(table)


@engine_app.command("check", epilog="Example: `torchmultiverse engine check ws://127.0.0.1:8080`")
def engine_check(
    engine: Annotated[str, typer.Argument(help="As for render --engine.")] = "builtin",
    save: Annotated[Path | None, typer.Option(help="Save the test picture here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the catalogue as JSON.")] = False,
    token: TokenOption = None,
) -> None:
    """Connect to an engine, print what it can render, and render one scene."""
    import time

    from torchmultiverse.connect import Multiverse
    from torchmultiverse.scenes import Scene

    with Multiverse(engine, token=token, size=(256, 256)) as mv:
        catalogue = mv.catalogue()
        if as_json:
            print(catalogue.model_dump_json(indent=1))
            return
        out.print(f"[bold]{catalogue.engine}[/] {catalogue.version}  {catalogue.fingerprint}", highlight=False)
        table = Table("factor", "levels", box=None, padding=(0, 2))
        for name, choice in catalogue.factors.items():
            if choice.levels is not None:
                text = ", ".join(choice.levels)
            else:
                text = "anything" if choice.low is None else f"{choice.low:g} … {choice.high:g}"
            table.add_row(name, text)
        out.print(table)
        worlds = catalogue.factors.get("World_Name")
        characters = catalogue.factors.get("Character_Name")
        scene = Scene(
            {
                "World_Name": (worlds and worlds.levels and worlds.levels[0]) or "Desert",
                "Character_Name": next((c for c in (characters and characters.levels) or [] if c != "blank"), "blank"),
            }
        )
        start = time.perf_counter()
        frame = mv.render(scene)
        out.print(
            f"rendered {frame.scene.canonical} in {time.perf_counter() - start:.2f} s: "
            f"{frame.array().shape[1]}×{frame.array().shape[0]}, SHA-256 {frame.sha256()[:16]}…",
            highlight=False,
        )
        if save is not None:
            frame.image.save(save)
            out.print(f"saved {save}", highlight=False)


@app.command()
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Fetch the LLVM library into the user's cache (Debian, Ubuntu).")
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="Print one line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say what is installed, what works here and why not, and what to do about it."""
    from torchmultiverse.cli.doctor import examine

    report = examine(fix=fix)
    if as_json:
        print(json.dumps(report.as_dict(), indent=1))
    else:
        out.print(report.line() if brief else report)
    if not report.healthy:
        raise typer.Exit(1)


@app.command()
def demo(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of everything the demo makes.")] = Path("demo"),
    assets: AssetsOption = None,
) -> None:
    """The main job end to end: render over WebRTC, store, train, score, report. A few minutes on two cores."""
    from torchmultiverse.demo import run

    run(out_folder, out, assets or ())


@app.command()
def schema() -> None:
    """Print the JSON Schema of spec files."""
    from torchmultiverse.scenes import json_schema

    print(json.dumps(json_schema(), indent=1))


@app.command(
    epilog="Examples: `torchmultiverse verify data/spar`, "
    "`torchmultiverse verify data/spar --render 20 --engine builtin`"
)
def verify(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Delete bad shards, so that render makes them again.")
    ] = False,
    again: Annotated[
        int, typer.Option("--render", min=0, help="Render so many random scenes once more and compare the pictures.")
    ] = 0,
    engine: EngineOption = "builtin",
    seed: Annotated[int, typer.Option(help="Of the choice of scenes.")] = 0,
    token: TokenOption = None,
) -> None:
    """Check a dataset's shards: hashes, row counts, that every label is its scene's, and that every picture decodes."""
    from torchmultiverse.store import verify as check

    result = check(dataset, drop_bad)
    out.print(str(result), highlight=False)
    if result.problems:
        raise typer.Exit(DatasetError.exit_code)
    if again:
        import numpy as np

        from torchmultiverse.connect import open_engine
        from torchmultiverse.farm import render_again
        from torchmultiverse.store import open_dataset, spec_of

        spec = spec_of(open_dataset(dataset).manifest)
        source = open_engine(engine, token=token, assets=spec.assets if spec else [])
        try:
            agreement = render_again(dataset, source, again, np.random.default_rng(seed))
        finally:
            source.close()
        out.print(str(agreement), highlight=False)
        if not agreement.same:
            raise typer.Exit(DatasetError.exit_code)


@app.command(epilog="Examples: `torchmultiverse quality data/spar`, `torchmultiverse quality data/spar --save q.json`")
def quality(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset: Parquet files with an image column.")],
    save: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
) -> None:
    """Report the quality of a dataset's pictures: what fails, duplicates, and factor levels that change nothing."""
    from torchmultiverse.store import inspect, open_dataset

    result = inspect(open_dataset(dataset))
    if save is not None:
        save.write_text(json.dumps(result.as_dict(), indent=1) + "\n")
    out.print(str(result), highlight=False)


@app.command(epilog="Example: `torchmultiverse leakage data/spar`")
def leakage(dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")]) -> None:
    """Say which factors can be told from file size, brightness, row or shard, without looking at a picture."""
    from torchmultiverse.store import leakage as look
    from torchmultiverse.store import open_dataset

    found = look(open_dataset(dataset))
    for leak in found:
        out.print(str(leak), highlight=False, style="yellow" if leak.counts else None)
    if not found:
        out.print("no factor varies enough to be told", highlight=False)


@app.command(epilog="Example: `torchmultiverse show Desert Elephant --set Camera_Yaw=45 --save elephant.png`")
def show(
    world: Annotated[str, typer.Argument(help="World_Name")],
    character: Annotated[str, typer.Argument(help="Character_Name")] = "blank",
    values: Annotated[
        list[str] | None, typer.Option("--set", help="Any factor: Camera_Yaw=45; may be repeated.")
    ] = None,
    save: Annotated[Path, typer.Option(help="The picture's file.")] = Path("scene.png"),
    engine: EngineOption = "inprocess",
    size: Annotated[int, typer.Option(min=16, max=4096)] = 512,
    samples: Annotated[int | None, typer.Option(min=1)] = None,
    assets: AssetsOption = None,
    token: TokenOption = None,
) -> None:
    """Render one picture to a file."""
    from torchmultiverse.connect import Multiverse
    from torchmultiverse.scenes import FACTORS

    factors: dict[str, Any] = {"World_Name": world, "Character_Name": character}
    for item in values or []:
        name, separator, value = item.partition("=")
        if not separator:
            raise SpecError(f"--set {item!r}: write NAME=VALUE")
        try:
            factors[name] = float(value) if FACTORS[name].kind == "number" else value
        except ValueError:
            raise SpecError(f"--set {item!r}: {name} is a number") from None
    with Multiverse(engine, token=token, assets=assets or (), size=(size, size), samples=samples) as mv:
        mv.render(**factors).image.save(save)
    out.print(f"{save}", highlight=False)
