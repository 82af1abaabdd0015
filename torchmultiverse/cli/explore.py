"""The live explorer: a page with the picture of an engine, its factors, and what models say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import app, examples
from torchmultiverse.cli.options import Assets, Engine, Token
from torchmultiverse.cli.output import say


@app.command(
    epilog=examples(
        "torchmultiverse explore",
        "torchmultiverse explore --model timm:resnet50 --model open_clip:ViT-B-32/openai",
        "torchmultiverse explore finding.json --engine ws://127.0.0.1:8080",
    )
)
def explore(
    finding: Annotated[Path | None, typer.Argument(help="File of a finding to open. Default: a first scene.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Model string, see 'models list', or NAME=STRING; up to four. Default: none.",
            autocompletion=completion.models,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Rendered dataset, of which some pictures are offered to go on from. Default: none.",
            autocompletion=completion.datasets,
        ),
    ] = None,
    engine: Engine = "builtin",
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of the picture in pixels.")] = 256,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples per pixel of the final picture. Default: the engine's.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: a free one.")] = 8090,
    assets: Assets = None,
    token: Token = None,
) -> None:
    """Turn a factor and watch the picture, and what up to four models say of it, on a web page of this machine."""
    from torchmultiverse.engines import RenderOptions
    from torchmultiverse.explore import explore_forever, make_studio

    options = RenderOptions(size=(size, size), format="raw", samples=samples)
    say("loading …", "dim")

    explore_forever(
        lambda tell: make_studio(
            tell, engine, model or (), token=token, assets=assets or (), options=options, data=data
        ),
        host=host, port=port, token=token, finding=finding,
        show=lambda address: say(f"look at it: {address}\nCtrl-C ends it"),
    )  # fmt: skip
