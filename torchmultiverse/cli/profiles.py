"""Commands for launch profiles: packaged binaries that have a name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.doctor import CHECKS, Check, Examination
from torchmultiverse.cli.groups import engine_group, examples
from torchmultiverse.cli.options import tabular
from torchmultiverse.cli.output import print_table, say, warn
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.tables import Column, Table, number, text

Target = Literal["slurm", "docker", "kubernetes"]
_FIELDS = (text("field"), text("value"), text("what"))
_VALUES = (text("field"), Column(("value",), "value", unit="of the field's type"), text("what"))
_LINES = (number("instance", unit="its number, from 0"), text("line"))
Name = Annotated[
    str, typer.Argument(help="Name of a launch profile, see 'engine list'.", autocompletion=completion.profiles)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any field of 'engine show': timeout=300, size=640x480, arguments='-unattended -NoSplash', "
        "environment.HOME=/tmp; may be repeated; an empty value is the default.",
        autocompletion=completion.profile_fields,
    ),
]


@engine_group.command(
    epilog=examples(
        "torchmultiverse engine add my-env path/to/Game.sh --gpus 0,1 --per-gpu 2",
        "torchmultiverse engine add old-env old/Game.sh --gpus 0 --set generation=legacy --set dialect=pug",
        "torchmultiverse render my.json --out data/my --engine my-env",
    )
)
def add(
    name: Annotated[str, typer.Argument(help="Its name from now on, for --engine.")],
    script: Annotated[Path, typer.Argument(help="Start script of the packaged binary, Linux/Game.sh.")],
    gpus: Annotated[
        str, typer.Option(help="Graphics cards by number: 0,1. Default: none, the binary chooses one.")
    ] = "",
    per_gpu: Annotated[int, typer.Option(min=1, max=64, help="Instances on each card.")] = 1,
    settings: Settings = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make a profile that is there anew.")] = False,
) -> None:
    """Give a packaged binary a name, with the cards it runs on and how it is started."""
    from torchmultiverse.profiles import changed, made, save_profile, script_problem

    start = made(script=str(script.absolute()))
    profile = changed(start, [f"gpus={gpus}", f"per_gpu={per_gpu}", *(settings or ())])
    if (wrong := script_problem(profile.script)) is not None:
        raise EngineError(f"{profile.script} {wrong}")
    path = save_profile(name, profile, replace=replace)
    say(f"{name}: {_summary(profile.script, profile.gpus, profile.per_gpu)}; kept in {path}")
    say(f"does it work? torchmultiverse engine diagnose {name}")


@engine_group.command(
    epilog=examples(
        "torchmultiverse engine edit my-env --set per_gpu=1 --set gpus=0,1,2,3",
        "torchmultiverse engine edit my-env --set arguments='-unattended' --set environment.HOME=/tmp",
    )
)
def edit(name: Name, settings: Settings = None) -> None:
    """Change fields of a launch profile."""
    from torchmultiverse.profiles import changed, load_profile, save_profile, script_problem

    if not settings:
        raise SpecError(
            f"nothing to change: --set FIELD=VALUE; fields are shown by: torchmultiverse engine show {name}"
        )
    profile = changed(load_profile(name), settings)
    if (wrong := script_problem(profile.script)) is not None:
        warn(f"{profile.script} {wrong}")
    save_profile(name, profile, replace=True)
    say(f"{name}: {_summary(profile.script, profile.gpus, profile.per_gpu)}")


@engine_group.command("show", epilog=examples("torchmultiverse engine show my-env"))
@tabular(_VALUES)
def show_profile(name: Name) -> None:
    """Show the fields of a launch profile, as --set takes them."""
    from torchmultiverse.profiles import Profile, as_text, load_profile, profile_path, script_problem

    profile = load_profile(name)
    shown, people = Table(_VALUES), Table(_FIELDS)
    values = profile.model_dump(mode="json")
    for field, info in Profile.model_fields.items():
        shown.add(field, values[field], info.description)
        people.add(field, as_text(profile, field), info.description)
    say(f"{profile_path(name)}: {profile.instances} instance{'' if profile.instances == 1 else 's'}")
    if (wrong := script_problem(profile.script)) is not None:
        warn(f"{profile.script} {wrong}")
    print_table(shown, people=people)


@engine_group.command(epilog=examples("torchmultiverse engine remove my-env"))
def remove(name: Name) -> None:
    """Forget a launch profile; the binary and its logs stay."""
    from torchmultiverse.profiles import remove_profile

    remove_profile(name)
    say(f"{name} is removed")


@engine_group.command(
    epilog=examples("torchmultiverse engine logs my-env", "torchmultiverse engine logs my-env --instance 1 --lines 500")
)
@tabular(_LINES)
def logs(
    name: Name,
    instance: Annotated[int | None, typer.Option(min=0, help="Only this instance. Default: all.")] = None,
    lines: Annotated[int, typer.Option(min=1, max=1_000_000, help="Last lines of each.")] = 40,
) -> None:
    """Print what the instances of a launch profile printed on this machine, last lines first of all."""
    from torchmultiverse.profiles import load_profile, log_path
    from torchmultiverse.serve import last_lines, recognise

    profile = load_profile(name)
    if instance is not None and instance >= profile.instances:
        raise SpecError(f"--instance {instance}: '{name}' has instances 0 to {profile.instances - 1}")
    shown = []
    known = {}
    for k in range(profile.instances) if instance is None else (instance,):
        path = log_path(name, k)
        table = Table(_LINES, f"{path}:")
        for line in last_lines(path, lines):
            table.add(k, line)
            if (failure := recognise(line)) is not None:
                known[failure.id] = failure
        shown.append(table)
    people = "\n".join(
        f"{table.title}\n" + "\n".join(str(row["line"]) for row in table.records()) for table in shown if table.rows
    )
    print_table(*shown, people=people or f"nothing was logged yet; instances of '{name}' log when they are started")
    for failure in known.values():
        say(f"→ {failure.said_of(name)}")
    here = log_path(name, 0).parents[1]
    if others := sorted(folder.name for folder in here.parent.iterdir() if folder != here):
        say(f"other machines and jobs have theirs in {here.parent}: {', '.join(others[-8:])}")


@engine_group.command(
    epilog=examples(
        "torchmultiverse engine diagnose my-env",
        "torchmultiverse engine diagnose my-env --no-start --format json",
        "torchmultiverse engine diagnose path/to/Game.sh",
    )
)
@tabular(CHECKS)
def diagnose(
    engine: Annotated[
        str, typer.Argument(help="Launch profile, or the path of a packaged binary.", autocompletion=completion.engines)
    ],
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start each instance, and ask it for a picture.")
    ] = True,
) -> None:
    """Say whether a packaged binary can run here and why not: libraries, Vulkan, cards, then each instance."""
    report = examination(engine, start)
    shown = Table(CHECKS)
    for check in report.checks:
        shown.add(check.state, check.subject, check.detail, check.remedy or None)
    print_table(shown, people=report)
    if not report.healthy:
        raise typer.Exit(1)


def examination(engine: str, start: bool) -> Examination:
    """Return what was found of a launch profile, or of a binary by its path."""
    from torchmultiverse.profiles import diagnose as look
    from torchmultiverse.profiles import is_profile, load_profile, made

    if is_profile(engine) or not Path(engine).is_file():
        name, profile = engine, load_profile(engine)
    else:
        path = Path(engine).absolute()
        name, profile = f"{path.stem.lower()}", made(script=str(path))
    found = look(name, profile, start=start, tell=lambda words: warn(f"{words} …"))
    return Examination([Check(one.subject, one.state, one.detail, one.remedy) for one in found])


def _summary(script: str, gpus: tuple[int, ...], per_gpu: int) -> str:
    cards = f"cards {', '.join(map(str, gpus))}" if gpus else "a card that it chooses"
    each = f", {per_gpu} on each" if gpus else f", {per_gpu} instance{'' if per_gpu == 1 else 's'}"
    return f"{script} on {cards}{each}"


def listed() -> list[tuple[str, str]]:
    """Return the launch profiles and what they are, for the list of engines."""
    from torchmultiverse.profiles import (
        folder_problem,
        load_profile,
        profile_names,
        script_problem,
        strange_profiles,
    )

    if (wrong := folder_problem()) is not None:
        warn(wrong)
    found = strange_profiles()
    for name in profile_names():
        try:
            profile = load_profile(name)
        except EngineError as error:
            found.append((name, str(error)))
            continue
        about = f"{profile.about}: " if profile.about else ""
        wrong = script_problem(profile.script)
        cannot = "" if wrong is None else f" (cannot start: it {wrong})"
        found.append((name, f"{about}{_summary(profile.script, profile.gpus, profile.per_gpu)}{cannot}"))
    return found


@engine_group.command(
    epilog=examples(
        "torchmultiverse engine template my-env --for slurm --spec my.json --data data/my --tasks 8",
        "torchmultiverse engine template my-env --for docker --out Dockerfile.my-env",
        "torchmultiverse engine template my-env --for kubernetes --image registry.example/my-env:1 --tasks 4",
    )
)
def template(
    name: Name,
    target: Annotated[Target, typer.Option("--for", help="Where it runs.")],
    spec: Annotated[str, typer.Option(help="File or name of the spec that is rendered.")] = "spec.json",
    data: Annotated[str, typer.Option(help="Folder of the dataset.")] = "data",
    tasks: Annotated[int, typer.Option(min=1, max=10_000, help="Jobs or pods, each with all instances.")] = 1,
    image: Annotated[str, typer.Option(help="Image of the container. Default: the profile's name.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="File that is written. Default: standard output.")] = None,
) -> None:
    """Write a file that runs a launch profile elsewhere: Slurm script, Dockerfile, Kubernetes manifests."""
    from torchmultiverse.files import disk_errors, write_atomic
    from torchmultiverse.profiles import Deployment, load_profile
    from torchmultiverse.profiles import template as rendered

    text_of_it = rendered(
        name, load_profile(name), target, Deployment(spec=spec, data=data, tasks=tasks, image=image)
    )  # fmt: skip
    if out is None:
        say(text_of_it.rstrip("\n"))
        return
    with disk_errors(out.parent):
        write_atomic(out, text_of_it.encode())
    say(str(out))
