"""The command that turns a spec into a dataset: here, in actors of a Ray cluster, or as an array job of Slurm."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from torchmultiverse.cli.groups import app, examples
from torchmultiverse.cli.options import Engine, Out, Pixels, SpecFile, Token, option_sets, tabular
from torchmultiverse.cli.output import for_people, print_table, say
from torchmultiverse.errors import AssetError, DatasetError, SpecError, TorchMultiverseError
from torchmultiverse.tables import Column, Table, number, text

if TYPE_CHECKING:
    from torchmultiverse.farm import DryRun
    from torchmultiverse.scenes import Spec

LEVELS = (
    text("factor"), text("level"), text("unit"), number("images"),
    number("seconds", form=".0f", unit="estimate, of all"),
    number("bytes", unit="estimate, of all"),
    Column(("renderable",), "renderable", unit="false: unknown to the engine"),
)  # fmt: skip
"""A dry run for programs: all, then each level of each factor, then each split."""


def levels_table(forecast: DryRun) -> Table:
    """Return what a dry run found, for programs."""
    from torchmultiverse.scenes import FACTORS

    units = {factor.wire: factor.unit or None for factor in FACTORS}
    shown = Table(LEVELS)
    counted = not forecast.problems if forecast.counts else None
    shown.add("all", None, None, forecast.images, forecast.seconds, forecast.bytes, counted)
    for name, counts in forecast.counts.items():
        wrong = forecast.unsupported.get(name, ())
        for level, n in counts.items():
            shown.add(name, str(level), units.get(name), n, None, None, level not in wrong)
    for name, n in forecast.splits.items():
        shown.add("split", name, None, n, None, None, None)
    return shown


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


@dataclass(frozen=True)
class Selection:
    """Which scenes of a spec are rendered, and how."""

    size: Annotated[int | None, typer.Option(min=16, max=4096, help="Square size in pixels. Default: the spec's.")] = (
        None
    )
    where: Annotated[
        str | None, typer.Option(help="Only some scenes: 'World_Name in (Desert, Snow)'. Default: all.")
    ] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N scenes. Default: all.")] = None
    samples: Annotated[
        int | None, typer.Option(min=1, help="Samples per pixel. Default: the spec's, else the engine's.")
    ] = None

    def options(self) -> dict[str, Any]:
        """Return them as keywords of `torchmultiverse.farm`."""
        return {"size": self.size, "where": self.where, "limit": self.limit, "samples": self.samples}


@dataclass(frozen=True)
class Executors:
    """Where engines run."""

    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Engines side by side; tasks of the array job. Default: 1; here, all instances of a launch profile.",
        ),
    ] = None
    executor: Annotated[
        Executor, typer.Option(help="Where engines run: here, in actors of a Ray cluster, or as an array job.")
    ] = "local"
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            "--shard",
            help="i/n: only this part, for any other kind of cluster; then: farm join. Default: all.",
        ),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster; auto: this machine's; local: a new one that only this machine reaches. "
            "Default: auto where there is one, else local."
        ),
    ] = None
    adapter: Annotated[
        list[int] | None,
        typer.Option(
            help="Graphics card for a packaged binary; may be repeated: engines take turns. "
            "Default: the binary chooses."
        ),
    ] = None
    gpus: Annotated[float, typer.Option(min=0, help="Graphics cards that an actor takes.")] = 0
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="Option of both jobs: gres=gpu:1, time=4:00:00; may be repeated. Default: none."),
    ] = None


@dataclass(frozen=True)
class Supervision:
    """When a scene is tried again and an engine made anew, and what is checked at the end."""

    retries: Annotated[int, typer.Option(min=0, help="Further attempts for a scene that fails.")] = 1
    lease: Annotated[
        float, typer.Option(min=1, help="Seconds without an answer after which an engine is made anew.")
    ] = 180
    recycle: Annotated[
        int | None, typer.Option(min=1, help="Pictures after which an engine is made anew. Default: never.")
    ] = None
    memory: Annotated[
        float | None, typer.Option(min=0.1, help="GB of an engine above which it is made anew. Default: no limit.")
    ] = None
    check: Annotated[
        int | None,
        typer.Option(min=0, help="Pictures that are rendered once more at the end. Default: 1 in 100, 8 at most."),
    ] = None
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows of a Parquet file.")] = 1024

    def options(self) -> dict[str, Any]:
        """Return them as keywords of `torchmultiverse.farm.generate`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Mode:
    """Whether a run renders, and what it does with a folder that holds something."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, check and estimate.")] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over, deleting what the folder holds.")] = False
    extend: Annotated[
        bool, typer.Option("--extend", help="The spec grew: keep the images that are there, render what is new.")
    ] = False


@app.command(
    epilog=examples(
        "torchmultiverse render spar --out data/spar --dry-run",
        "torchmultiverse render spar --out data/spar --where 'World_Name in (Desert, Museum)' --limit 100",
        "torchmultiverse render my.json --out data/my --engine ./Linux/Game.sh --size 512",
        "torchmultiverse render my.json --out data/my --engine my-env",
        "torchmultiverse render animals --out data/animals --executor ray --workers 8 --gpus 1",
        "torchmultiverse render animals --out data/animals --executor slurm --workers 64 --slurm gres=gpu:1",
    )
)
@tabular(LEVELS)
@option_sets
def render(
    context: typer.Context,
    spec: SpecFile,
    out: Out,
    selection: Selection,
    executors: Executors,
    supervision: Supervision,
    mode: Mode,
    engine: Engine = "builtin",
    token: Token = None,
    pixels: Pixels = "auto",
) -> None:
    """Render a spec to a Parquet dataset. Interrupted runs continue where they were."""
    from torchmultiverse.connect import open_engine
    from torchmultiverse.farm import generate, parse_part
    from torchmultiverse.scenes import load_spec

    _check(executors.executor, engine, {name for name in context.params if _given(context, name)})
    workers = _workers(executors, engine)
    if mode.dry_run:
        _dry_run(spec, engine, token, selection, workers)
        return
    loaded = load_spec(spec)
    if not for_people():
        raise typer.BadParameter("a run prints no table, --dry-run does", param_hint="--format")
    if executors.executor == "slurm":
        command = _task_command(spec, out, engine, selection, supervision, executors)
        command += [] if pixels == "auto" else [f"--pixels={pixels}"]
        _submit(loaded, out, command, selection, workers, executors.slurm or [], supervision.shard_rows, mode.fresh)
        return
    make: Callable[[], Any] = partial(
        open_engine, engine, token=token, factor_order=loaded.build().sent, assets=loaded.assets,
        pug_hold=supervision.lease / 3, pixels=pixels,
    )  # fmt: skip
    if executors.adapter:
        cards, single = cycle(executors.adapter), make  # each engine that is started takes the next card
        make = lambda: single(adapter=next(cards))  # type: ignore[call-arg]  # noqa: E731
    if executors.executor == "ray":
        from torchmultiverse.farm import ray_factory

        make = ray_factory(make, address=executors.address, gpus=executors.gpus)
    report = generate(
        loaded, out, engine=make, **selection.options(), workers=workers,
        part=None if executors.part is None else parse_part(executors.part), **supervision.options(),
        fresh=mode.fresh, extend=mode.extend,
    )  # fmt: skip
    say(str(report))
    if not report.good:
        raise typer.Exit(DatasetError.exit_code)


def _dry_run(path: Path, engine: str, token: str | None, selection: Selection, workers: int) -> None:
    from torchmultiverse.connect import open_engine
    from torchmultiverse.farm import dry_run
    from torchmultiverse.scenes import load_spec

    try:
        spec = load_spec(path)
        # The catalogue of the built-in engine can be read without starting a process.
        source = open_engine(engine, token=token, assets=spec.assets, hosted=False)
    except (SpecError, AssetError) as error:
        raise type(error)("\n".join([str(error), *_unknown_names(path, engine, token)])) from None
    try:
        forecast = dry_run(spec, source.catalogue(), **selection.options(), workers=workers)
    finally:
        source.close()
    print_table(levels_table(forecast), people=forecast)
    if forecast.problems:
        raise SpecError("\n".join(forecast.problems))


def _unknown_names(path: Path, engine: str, token: str | None) -> list[str]:
    """Return which names of a spec that cannot be rendered an engine does not know, with all packs that are there."""
    from torchmultiverse.assets import everything
    from torchmultiverse.connect import engine_catalogue
    from torchmultiverse.scenes import FACTORS, mentioned_levels

    try:
        return engine_catalogue(engine, token=token, assets=everything()).problems(mentioned_levels(path), FACTORS)
    except TorchMultiverseError:
        return []  # the engine is another matter


def _workers(executors: Executors, engine: str) -> int:
    """Return how many engines run side by side, or how many tasks an array job has."""
    from torchmultiverse.connect import side_by_side

    return side_by_side(engine, executors.workers) if executors.executor == "local" else executors.workers or 1


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _check(executor: Executor, engine: str, given: set[str]) -> None:
    """Refuse options that would be ignored.

    Raises:
        SpecError: names the option and says what to do instead.
    """
    from torchmultiverse.engines import find_engine
    from torchmultiverse.profiles import is_profile

    for name, (executors, instead) in _ONLY.items():
        if name in given and executor not in executors:
            raise SpecError(f"--{name} does not go with --executor {executor}: {instead}")
    if {"part", "extend"} <= given:
        raise SpecError(f"--extend does not go with --part: {_ONLY['extend'][1]}")
    if {"fresh", "extend"} <= given:
        raise SpecError("--extend does not go with --fresh: one keeps the pictures that are there, one deletes them")
    remote = engine.startswith(("ws://", "wss://"))
    if "token" in given and executor == "slurm":
        raise SpecError(
            "--token would stand in a script for all to read; set TORCHMULTIVERSE_TOKEN, which jobs inherit"
        )
    if "token" in given and not remote:
        raise SpecError(f"--token goes with an engine at an address (ws://host:port), not with '{engine}'")
    binary = is_profile(engine) or Path(engine).is_file()
    if "memory" in given and (remote or not (binary or find_engine(engine).hosted)):
        raise SpecError(f"--memory: engine '{engine}' has no process of its own here; --recycle makes engines anew")
    if "adapter" in given and is_profile(engine):
        change = f"torchmultiverse engine edit {engine} --set gpus=0,1"
        raise SpecError(f"--adapter: the launch profile '{engine}' has its cards; other ones: {change}")
    if "adapter" in given and (remote or not Path(engine).is_file()):
        raise SpecError(f"--adapter is for a packaged binary, not for '{engine}'")


def _task_command(
    spec: Path, out: Path, engine: str, selection: Selection, supervision: Supervision, executors: Executors
) -> list[str]:
    """Return the command of a task of the array job, but for its part."""
    from torchmultiverse.profiles import is_profile
    from torchmultiverse.scenes import spec_path

    command = ["render", str(spec_path(spec).resolve()), "--out", str(out.resolve())]
    binary = str(Path(engine).resolve()) if Path(engine).is_file() and not is_profile(engine) else engine
    for name, value in {"engine": binary, **selection.options(), **supervision.options()}.items():
        command += [] if value is None else [f"--{name.replace('_', '-')}={value}"]
    return command + [f"--adapter={card}" for card in executors.adapter or []]


def _submit(
    spec: Spec,
    out: Path,
    command: list[str],
    selection: Selection,
    workers: int,
    options: list[str],
    shard_rows: int,
    fresh: bool,
) -> None:
    """Send the jobs, unless the folder is not one that they may fill."""
    from torchmultiverse import farm

    where, limit = selection.where, selection.limit
    farm.select(spec, where, limit)  # what is wrong with it is better said here than by every task
    farm.directives(options)
    if fresh:
        farm.start_over(out)
    who = farm.identity(spec, farm.render_options(spec, selection.size, selection.samples), where, limit)
    if farm.check_target(out, who | {"shard_rows": shard_rows}, workers):
        say(f"{out} holds this dataset already, whole; no job is sent")
        return
    array, last = farm.write_jobs(out, command, workers, options)
    first, second = farm.submit(array, last)
    say(
        f"array job {first} ({workers} tasks), then job {second} joins them, or says in "
        f"{last.with_name('join.log')} why it cannot; how it goes: torchmultiverse farm status {shlex.quote(str(out))}"
    )
