"""Commands that open an engine: one image of it, what it can render, and serving it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import app, engine_group, examples
from torchmultiverse.cli.options import Assets, Engine, Pixels, Save, Token, tabular
from torchmultiverse.cli.output import check_image_file, print_table, save_image, save_json, say, title
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.tables import Column, Table, text

_WAYS = {
    "shared": "shared memory: the engine runs on this host",
    "websocket": "a binary WebSocket through the signalling server",
    "channel": "the data channel of WebRTC",
}
_ENGINES = (text("engine"), text("about", "what it is"), text("kind"))


def _choice(levels: list[str] | None, low: float | None, high: float | None) -> str:
    return ", ".join(levels) if levels is not None else f"{low:g} … {high:g}"


_CHOICES = (
    text("factor"),
    Column(("levels", "low", "high"), "levels", _choice, "names, or ends of a range; none where anything goes",
           right=False),
)  # fmt: skip


@app.command(
    epilog=examples(
        "torchmultiverse show Desert Elephant --set Camera_Yaw=45 --out elephant.png",
        "torchmultiverse show TokyoDay Elephant --set Fog_Visibility=40 --set Rain=20 --out rain.png",
    )
)
def show(
    world: Annotated[str, typer.Argument(help="World_Name, see 'catalogue worlds'.", autocompletion=completion.worlds)],
    character: Annotated[
        str, typer.Argument(help="Character_Name, see 'catalogue characters'.", autocompletion=completion.characters)
    ] = "blank",
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any of 'catalogue factors': Camera_Yaw=45, Fog_Visibility=40 or =own; may be repeated.",
            autocompletion=completion.values,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="File of the image.")] = Path("scene.png"),
    engine: Engine = "inprocess",
    size: Annotated[int, typer.Option(min=16, max=4096, help="Side in pixels.")] = 512,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples per pixel. Default: the engine's.")] = None,
    assets: Assets = None,
    token: Token = None,
    pixels: Pixels = "auto",
) -> None:
    """Render one scene to a file."""
    from torchmultiverse.connect import Multiverse, open_engine
    from torchmultiverse.scenes import FACTORS, OWN

    check_image_file(out)
    factors: dict[str, Any] = {"World_Name": world, "Character_Name": character}
    for item in values or []:
        name, separator, value = item.partition("=")
        if not separator:
            raise SpecError(f"--set {item!r}: write NAME=VALUE")
        try:
            number = FACTORS[name].kind == "number" and value != FACTORS[name].default
            factors[name] = float(value) if number else value
        except ValueError:
            own = f", or {OWN}" if FACTORS[name].default == OWN else ""
            raise SpecError(f"--set {item!r}: {name} is a number{own}") from None
    opened = open_engine(engine, token=token, assets=assets or (), pixels=pixels)
    with Multiverse(opened, size=(size, size), samples=samples) as mv:
        save_image(out, mv.render(**factors).image)
    say(str(out))


@app.command(
    epilog=examples("torchmultiverse serve --port 8080", "torchmultiverse serve --engine my-env")
    + "\n\nThen open http://127.0.0.1:8080 in a browser."
)
def serve(
    engine: Engine = "builtin",
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of players and of the page; 0: a free one.")] = 8080,
    streamer_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of streamers.")] = 8888,
    assets: Assets = None,
    token: Token = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Another origin, https://host:port, whose pages may connect; may be repeated. Default: none."
        ),
    ] = None,
    instances: Annotated[
        int | None, typer.Option(min=1, help="Of a launch profile, on ports one after the other. Default: all.")
    ] = None,
) -> None:
    """Run a signalling server and an engine until Ctrl-C; the page shows the engine live."""
    from torchmultiverse.profiles import is_profile, serve_profile
    from torchmultiverse.serve import serve_forever

    if is_profile(engine):
        serve_profile(
            engine, host=host, player_port=port, streamer_port=streamer_port, token=token,
            allow_origins=allow_origin or (), instances=instances,
        )  # fmt: skip
        return
    if instances is not None:
        raise SpecError(f"--instances is of launch profiles, and '{engine}' is none: see torchmultiverse engine list")
    if assets:
        from torchmultiverse.assets import check_packs

        check_packs(assets)
    serve_forever(
        engine=engine, host=host, player_port=port, streamer_port=streamer_port, token=token, assets=assets or (),
        allow_origins=allow_origin or (),
    )  # fmt: skip


@engine_group.command("list", epilog=examples("torchmultiverse engine list"))
@tabular(_ENGINES)
def engine_list() -> None:
    """List the engines that can be named here."""
    from torchmultiverse.cli.profiles import listed
    from torchmultiverse.engines import BUILT_IN, engine_names, find_engine

    shown = Table(_ENGINES)
    for name in engine_names():
        try:
            summary = find_engine(name).summary
        except EngineError as error:
            summary = str(error)
        shown.add(name, summary, "built in" if name in BUILT_IN else "plug-in")
    for name, summary in listed():
        shown.add(name, summary, "launch profile")
    shown.add("ws://host:port", "a signalling server's player port, whatever streams behind it", "address")
    shown.add("path/to/Game.sh", "a packaged Unreal binary, started and stopped for you", "path")
    print_table(shown)


@engine_group.command(
    "check", epilog=examples("torchmultiverse engine check ws://127.0.0.1:8080", "torchmultiverse engine check my-env")
)
@tabular(_CHOICES)
def engine_check(
    engine: Annotated[
        str, typer.Argument(help="As for 'render --engine'.", autocompletion=completion.engines)
    ] = "builtin",
    out: Annotated[Path | None, typer.Option("--out", help="File of the test image.")] = None,
    save: Save = None,
    token: Token = None,
    pixels: Pixels = "auto",
) -> None:
    """Connect to an engine, print what it can render and which way its pictures come, and render one scene.

    A launch profile is diagnosed before, as by 'engine diagnose'.
    """
    from torchmultiverse.connect import Multiverse, open_engine
    from torchmultiverse.engines import ReportsPixels, capability
    from torchmultiverse.profiles import is_profile, picture_problem, sample_scene

    check_image_file(out)
    if is_profile(engine):
        _diagnosed(engine)
    with Multiverse(open_engine(engine, token=token, pixels=pixels), size=(256, 256)) as mv:
        catalogue = mv.catalogue()
        save_json(save, catalogue.model_dump(mode="json"))
        title(catalogue.engine, f" {catalogue.version}  {catalogue.fingerprint}")
        shown = Table(_CHOICES)
        for name, choice in catalogue.factors.items():
            shown.add(name, (choice.levels, choice.low, choice.high))
        print_table(shown)
        start = time.perf_counter()
        frame = mv.render(sample_scene(catalogue))
        height, width = frame.array().shape[:2]
        say(
            f"rendered {frame.scene.canonical} in {time.perf_counter() - start:.2f} s: "
            f"{width}×{height}, SHA-256 {frame.sha256()[:16]}…"
        )
        if told := capability(mv.engine, ReportsPixels):
            say(f"pictures come by {_WAYS[told.pixels]}")
        if out is not None:
            save_image(out, frame.image)
            say(f"saved {out}")
        if problem := picture_problem(frame.array()):
            raise EngineError(f"'{engine}' answers, but its picture cannot be right: {problem}")


def _diagnosed(engine: str) -> None:
    """Say what is found of a launch profile.

    Raises:
        EngineError: it cannot run here.
    """
    from torchmultiverse.cli.profiles import examination

    report = examination(engine, start=True)
    say(report)
    if not report.healthy:
        wrong = "; ".join(f"{one.subject}: {one.detail}" for one in report.checks if one.state == "broken")
        raise EngineError(f"the launch profile '{engine}' cannot run here: {wrong}")
