"""Options that several commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Embeddings = Annotated[Path | None, typer.Option(help="Folder of kept features; default: in the cache.")]
Group = Annotated[str, typer.Option(help="Column whose groups are in one part only; auto, or rows for none.")]
Boxes = Annotated[Path | None, typer.Option(help="Boxes of photographs: CSV, COCO JSON, or folder of VOC XML.")]
Least = Annotated[float, typer.Option(min=0.01, max=1, help="Shorter side of a part, of the picture's.")]
Renderer = Annotated[str, typer.Option(help="That renders for 'rerender'.")]
SamplerSteps = Annotated[int, typer.Option(min=1, max=1000, help="Of the sampler.")]
Sampler = Annotated[str, typer.Option(help="ddim or ddpm.")]
Neighbours = Annotated[int, typer.Option("--k", min=1, help="Neighbours.")]
EngineOption = Annotated[
    str,
    typer.Option(help="A name that engine list says, ws://host:port, or the path of a packaged Unreal binary."),
]
AssetsOption = Annotated[
    list[str] | None,
    typer.Option("--assets", help="Pack to draw from, see 'assets list'; may be repeated, the first that has it wins."),
]
TokenOption = Annotated[
    str | None, typer.Option(envvar="TORCHMULTIVERSE_TOKEN", help="Token of a remote signalling server.")
]
