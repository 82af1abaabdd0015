"""The command that turns a spec into a dataset: here, in actors of a Ray cluster, or as an array job of Slurm."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from torchmultiverse.cli.options import EngineOption, TokenOption
from torchmultiverse.errors import DatasetError, SpecError

if TYPE_CHECKING:
    from torchmultiverse.engines import Engine
    from torchmultiverse.scenes import Spec

EXAMPLES = """Examples:

`torchmultiverse render spar --out data/spar --dry-run`

`torchmultiverse render spar --out data/spar --where 'World_Name in (Desert, Museum)' --limit 100`

`torchmultiverse render my.json --out data/my --engine ./Linux/Game.sh --size 512`

`torchmultiverse render animals --out data/animals --executor ray --workers 8 --gpus 1`

`torchmultiverse render animals --out data/animals --executor slurm --workers 64 --slurm gres=gpu:1`
"""
Executor = Literal["local", "ray", "slurm"]
_ONLY: dict[str, tuple[tuple[Executor, ...], str]] = {
    "address": (("ray",), "it is the Ray cluster's"),
    "gpus": (("ray",), "cards of a task are asked for with --slurm gres=gpu:1, those of engines here with --adapter"),
    "slurm": (("slurm",), "it is an option of the array job"),
    "adapter": (("local", "slurm"), "actors get their cards by --gpus"),
    "memory": (("local", "slurm"), "an actor's memory is not seen from here; --recycle makes engines anew"),
    "part": (("local", "ray"), "each task of the array job has its own part"),
    "extend": (("local", "ray"), "a part has no pictures of the dataset to keep; extend it without parts"),
}
"""Options that mean something with some executors only, and what to do instead."""


def render(
    context: typer.Context,
    spec: Annotated[Path, typer.Argument(help="Spec file, a published PUG config too, or a name of specs list.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the dataset; an unfinished one is continued.")],
    engine: EngineOption = "builtin",
    size: Annotated[
        int | None, typer.Option(min=16, max=4096, help="Square size in pixels, instead of the spec's.")
    ] = None,
    where: Annotated[str | None, typer.Option(help="Only some scenes: 'World_Name in (Desert, Snow)'.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N scenes.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples per pixel, instead of the spec's.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=4096, help="Engines side by side; tasks of the array job.")] = 1,
    executor: Annotated[
        Executor, typer.Option(help="Where engines run: here, in actors of a Ray cluster, or as an array job.")
    ] = "local",
    part: Annotated[
        str | None,
        typer.Option("--part", "--shard", help="i/n: only this part, for any other kind of cluster; then: farm join."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster; auto: this machine's; local: a new one that only this machine reaches. "
            "Default: auto where there is one, else local."
        ),
    ] = None,
    adapter: Annotated[
        list[int] | None, typer.Option(help="Graphics card for a packaged binary; may be repeated: engines take turns.")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="Graphics cards that an actor takes.")] = 0,
    slurm: Annotated[
        list[str] | None, typer.Option(help="Option of both jobs: gres=gpu:1, time=4:00:00; may be repeated.")
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="Further attempts for a scene that fails.")] = 1,
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds without an answer after which an engine is made anew.")
    ] = 180,
    recycle: Annotated[int | None, typer.Option(min=1, help="Pictures after which an engine is made anew.")] = None,
    memory: Annotated[float | None, typer.Option(min=0.1, help="GB of an engine above which it is made anew.")] = None,
    check: Annotated[
        int | None,
        typer.Option(min=0, help="Pictures that are rendered once more at the end. Default: 1 in 100, 8 at most."),
    ] = None,
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows of a Parquet file.")] = 1024,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, check and estimate.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, deleting what the folder holds.")] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="The spec grew: keep the pictures that are there, render what is new.")
    ] = False,
    token: TokenOption = None,
) -> None:
    """Render a spec to a Parquet dataset. Interrupted runs continue where they were."""
    from torchmultiverse.connect import open_engine
    from torchmultiverse.farm import generate, parse_part, plan
    from torchmultiverse.scenes import load_spec, spec_path

    said = {name for name in context.params if _said(context, name)}
    _check(executor, engine, said)
    loaded = load_spec(spec)
    out = Console()
    if dry_run:
        # The catalogue of the built-in engine can be read without starting a process.
        source = open_engine(engine, token=token, assets=loaded.assets, hosted=False)
        try:
            forecast = plan(
                loaded, source.catalogue(), size=size, where=where, limit=limit, samples=samples, workers=workers
            )
        finally:
            source.close()
        out.print(forecast)
        return
    if executor == "slurm":
        command = ["render", str(spec_path(spec).resolve()), "--out", str(out_folder.resolve())]
        binary = str(Path(engine).resolve()) if Path(engine).is_file() else engine
        flags = {
            "engine": binary, "size": size, "where": where, "limit": limit, "samples": samples, "retries": retries,
            "lease": lease, "recycle": recycle, "memory": memory, "check": check,
            "shard-rows": shard_rows,
        }  # fmt: skip
        for name, value in flags.items():
            command += [] if value is None else [f"--{name}={value}"]
        command += [f"--adapter={card}" for card in adapter or []]
        _submit(loaded, out_folder, command, workers, slurm or [], fresh, size, where, limit, samples, shard_rows)
        return
    make: Callable[[], Engine] = partial(
        open_engine, engine, token=token, factor_order=loaded.build().sent, assets=loaded.assets, pug_hold=lease / 3
    )
    if adapter:
        cards, alone = cycle(adapter), make  # each engine that is started takes the next card
        make = lambda: alone(adapter=next(cards))  # type: ignore[call-arg]  # noqa: E731
    if executor == "ray":
        from torchmultiverse.farm import ray_factory

        make = ray_factory(make, address=address, gpus=gpus)
    report = generate(
        loaded,
        out_folder,
        engine=make,
        size=size,
        where=where,
        limit=limit,
        samples=samples,
        workers=workers,
        part=None if part is None else parse_part(part),
        retries=retries,
        lease=lease,
        recycle=recycle,
        memory=memory,
        check=check,
        shard_rows=shard_rows,
        fresh=fresh,
        extend=extend,
    )
    out.print(str(report), highlight=False)
    if not report.good:
        raise typer.Exit(DatasetError.exit_code)


def _said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _check(executor: Executor, engine: str, said: set[str]) -> None:
    """Refuse options that would be ignored.

    Raises:
        SpecError: names the option and says what to do instead.
    """
    from torchmultiverse.engines import find_engine

    for name, (executors, instead) in _ONLY.items():
        if name in said and executor not in executors:
            raise SpecError(f"--{name} does not go with --executor {executor}: {instead}")
    if {"part", "extend"} <= said:
        raise SpecError(f"--extend does not go with --part: {_ONLY['extend'][1]}")
    if {"fresh", "extend"} <= said:
        raise SpecError("--extend does not go with --fresh: one keeps the pictures that are there, one deletes them")
    remote = engine.startswith(("ws://", "wss://"))
    if "token" in said and executor == "slurm":
        raise SpecError(
            "--token would stand in a script for all to read; set TORCHMULTIVERSE_TOKEN, which jobs inherit"
        )
    if "token" in said and not remote:
        raise SpecError(f"--token goes with an engine at an address (ws://host:port), not with '{engine}'")
    if "memory" in said and (remote or not (Path(engine).is_file() or find_engine(engine).hosted)):
        raise SpecError(f"--memory: engine '{engine}' has no process of its own here; --recycle makes engines anew")
    if "adapter" in said and (remote or not Path(engine).is_file()):
        raise SpecError(f"--adapter is for a packaged binary, not for '{engine}'")


def _submit(
    spec: Spec,
    out_folder: Path,
    command: list[str],
    tasks: int,
    options: list[str],
    fresh: bool,
    size: int | None,
    where: str | None,
    limit: int | None,
    samples: int | None,
    shard_rows: int,
) -> None:
    """Send the jobs, unless the folder is not one that they may fill."""
    from torchmultiverse.farm import (
        check_target,
        directives,
        identity,
        render_options,
        select,
        start_over,
        submit,
        write_jobs,
    )

    out = Console()
    select(spec, where, limit)  # what is wrong with it is better said here than by every task
    directives(options)
    if fresh:
        start_over(out_folder)
    who = identity(spec, render_options(spec, size, samples), where, limit) | {"shard_rows": shard_rows}
    if check_target(out_folder, who, tasks):
        out.print(f"{out_folder} holds this dataset already, whole; no job is sent", highlight=False, soft_wrap=True)
        return
    array, last = write_jobs(out_folder, command, tasks, options)
    first, second = submit(array, last)
    out.print(
        f"array job {first} ({tasks} tasks), then job {second} joins them, or says in {last.with_name('join.log')} why "
        f"it cannot; how it goes: torchmultiverse farm status {shlex.quote(str(out_folder))}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
