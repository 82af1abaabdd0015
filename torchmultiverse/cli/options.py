"""Arguments and options that several commands share: each has one name and one meaning everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.output import TableFormat, printing
from torchmultiverse.errors import SettingError
from torchmultiverse.tables import Column
from torchmultiverse.train import TrainingSettings, parse_settings

if TYPE_CHECKING:
    from torchmultiverse.store import ImageSet

# Arguments
Dataset = Annotated[
    Path,
    typer.Argument(help="Folder of a dataset, or its address: hf://…, s3://….", autocompletion=completion.datasets),
]
Images = Annotated[
    Path,
    typer.Argument(
        help="Folder of a dataset, or of images in folders of classes; or an address.",
        autocompletion=completion.datasets,
    ),
]
Results = Annotated[
    Path,
    typer.Argument(help="Folder of the results that 'eval' wrote, or its address.", autocompletion=completion.results),
]
SpecFile = Annotated[
    Path,
    typer.Argument(
        help="Spec file, a published PUG config too, or a name of 'specs list'.", autocompletion=completion.specs
    ),
]
ModelString = Annotated[
    str,
    typer.Argument(help="Model string, see 'models list', or NAME=STRING.", autocompletion=completion.models),
]
DecoderFolder = Annotated[Path, typer.Argument(help="Folder that 'train decoder' wrote.")]

# What is asked about
ModelStrings = Annotated[
    list[str],
    typer.Option(
        "--model",
        help="Model string, see 'models list'; NAME=STRING is called NAME in tables and pages; * and @FILE work; may "
        "be repeated.",
        autocompletion=completion.models,
    ),
]  # fmt: skip
ResultModel = Annotated[
    str | None,
    typer.Option("--model", help="Model of the results. Default: the best.", autocompletion=completion.result_models),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data", help="Folder of a dataset, or of images in folders of classes.", autocompletion=completion.datasets
    ),
]
ShownData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Dataset that was evaluated: its images are shown. Default: none are.",
        autocompletion=completion.datasets,
    ),
]
Factors = Annotated[
    list[str] | None,
    typer.Option(
        "--factor", help="Column; may be repeated. Default: all that vary.", autocompletion=completion.columns
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", help="Layer, as 'analyze layers' names it; may be repeated. Default: all where the model can be cut."
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        help="Column of classes. Default: character_label, character_name or label, the first that varies.",
        autocompletion=completion.columns,
    ),
]

Limit = Annotated[
    int | None, typer.Option("--limit", min=20, help="So many images at most, drawn at random. Default: all.")
]


@dataclass(frozen=True)
class Question:
    """Which question of an evaluation a command is about."""

    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            help="Task, by its name or the title that tables have. "
            "Default: the first of the leaderboard that the models were asked.",
            autocompletion=completion.result_tasks,
        ),
    ] = None
    metric: Annotated[str | None, typer.Option("--metric", help="top1 or hard_negative. Default: the first.")] = None
    setting: Annotated[
        str | None, typer.Option("--setting", help="One setting of the task. Default: all, where they can be pooled.")
    ] = None

    def options(self) -> dict[str, Any]:
        """Return them as keywords of `torchmultiverse.evaluation`."""
        return {"task": self.task, "metric": self.metric, "setting": self.setting}


Top = Annotated[int, typer.Option("--top", min=1, help="Rows shown, the strongest first.")]
Protocol = Annotated[
    str,
    typer.Option(
        "--protocol", help="auto, or the name or path of a protocol file.", autocompletion=completion.protocols
    ),
]
Group = Annotated[
    str, typer.Option("--group", help="Column whose groups are in one part only; auto, or rows for none.")
]

# How and where
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of everything that is random.")]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, help="Trainings of each kind, with different seeds: intervals then hold for another one too."
    ),
]
Save = Annotated[Path | None, typer.Option("--save", help="Write everything as JSON to this file.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that is written; what was interrupted goes on.")]
Features = Annotated[
    Path | None, typer.Option("--features", help="Folder that keeps what models make of images. Default: in the cache.")
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Name that 'engine list' shows, also of a launch profile, ws://host:port, or the path of a packaged "
        "Unreal binary.",
        autocompletion=completion.engines,
    ),
]  # fmt: skip
Assets = Annotated[
    list[str] | None,
    typer.Option(
        "--assets", help="Pack to draw from, see 'assets list'; may be repeated, the first that has it wins. "
        "Default: procedural.",
        autocompletion=completion.packs,
    ),
]  # fmt: skip
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="TORCHMULTIVERSE_TOKEN", help="Token of a remote signalling server."),
]
Pixels = Annotated[
    Literal["auto", "shared", "websocket", "channel"],
    typer.Option(
        "--pixels", envvar="TORCHMULTIVERSE_PIXELS",
        help="Which way pictures come: shared (memory of one host), websocket, channel (of WebRTC), or auto: the "
        "first of them that works. The pictures are the same.",
    ),
]  # fmt: skip

Format = Annotated[
    TableFormat,
    typer.Option(
        "--format", help="How the table is printed: for people, or alone as JSON (a list of objects), CSV or Markdown."
    ),
]

# Training
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Setting of the training, as epochs=50; may be repeated. Default: those of the recipe."),
]
SplitsFile = Annotated[
    Path | None,
    typer.Option("--splits", help="File of 'data split' that says which images a model is trained on. Default: all."),
]
AcceptedLicense = Annotated[
    str | None,
    typer.Option(
        "--accept-license",
        help="Licence, by name, of data that forbid it; from those who have other rights. "
        "Default: such data are refused.",
    ),
]

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        help="Log losses to tensorboard or tensorboard:FOLDER, wandb:PROJECT, mlflow:EXPERIMENT; may be repeated. "
        "TensorBoard's files are in --out by default.",
        autocompletion=completion.loggers,
    ),
]

# Memorization
Boxes = Annotated[
    Path | None,
    typer.Option(
        "--boxes", help="Boxes of photographs: CSV, COCO JSON, or folder of VOC XML. Default: those of rendered images."
    ),
]


def features_folder(given: Path | None) -> Path:
    """Return the folder that keeps features: the given one, or the one in the cache."""
    from torchmultiverse.resources import cache_folder

    return given or cache_folder("embeddings")


def images_of(data: Path, limit: int | None, seed: int) -> ImageSet:
    """Open a dataset, or a folder of images, and draw as many of its images as ``--limit`` says."""
    from torchmultiverse.store import drawn_images, open_images

    return drawn_images(open_images(data), limit, seed)


def refuse_idle(context: typer.Context, names: Sequence[str], needed: str) -> None:
    """Refuse options of a command that were given and would do nothing.

    Args:
        context: of the command.
        names: of its parameters.
        needed: the option that they go with, as people write it.

    Raises:
        SettingError: one was given.
    """
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise SettingError(f"--{name.replace('_', '-')} does nothing without {needed}")


def option_sets(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command take its options in sets: of a parameter that is a dataclass each field becomes an option.

    So does each setting of a parameter that is a kind of training, with the name, the help, the default and the bounds
    that the settings have, and with values in the grammar of `torchmultiverse.train.parse_setting`.
    """
    hints = get_type_hints(function, include_extras=True)
    sets: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, TrainingSettings):
            sets[name] = kind
            parameters += _training_options(kind)
        elif is_dataclass(kind):
            sets[name] = kind
            parameters += _dataclass_options(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=parameter.KEYWORD_ONLY))

    @wraps(function)
    def command(**values: Any) -> None:
        for name, kind in sets.items():
            if issubclass(kind, TrainingSettings):
                values[name] = _training(kind, {key: values.pop(key) for key in kind.model_fields if key in values})
            else:
                values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        function(**values)

    _sign(command, parameters)
    return command


def tabular(columns: Sequence[Column]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that prints a table of these columns the option ``--format``, and tell their keys in its help.

    The command makes a `Table` of them and prints it with `print_table`; what it prints with `say` is for people. The
    decorator stands above `option_sets`.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(function, include_extras=True)

        @wraps(function)
        def command(*, format: TableFormat, **values: Any) -> None:
            with printing(format):
                function(**values)

        named = inspect.signature(function).parameters.items()
        given = [p.replace(annotation=hints[name], kind=p.KEYWORD_ONLY) for name, p in named]
        own = inspect.Parameter("format", inspect.Parameter.KEYWORD_ONLY, default="table", annotation=Format)
        _sign(command, [*given, own])
        command.columns = tuple(columns)  # type: ignore[attr-defined]
        keys = "; ".join(", ".join(f"`{key}`" for key in c.keys) + (f" ({c.unit})" if c.unit else "") for c in columns)
        command.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nKeys in JSON and CSV: {keys}."
        return command

    return decorate


def loggable(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command that trains the option ``--log``. The decorator stands above `option_sets`, below `tabular`."""
    hints = get_type_hints(function, include_extras=True)

    @wraps(function)
    def command(*, log: list[str] | None, **values: Any) -> None:
        from torchmultiverse.train import log_to, open_loggers

        with log_to(*open_loggers(log or (), values.get("out", Path.cwd()))):
            function(**values)

    named = inspect.signature(function).parameters.items()
    given = [p.replace(annotation=hints[name], kind=p.KEYWORD_ONLY) for name, p in named]
    _sign(command, [*given, inspect.Parameter("log", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Log)])
    return command


def _sign(command: Any, parameters: Sequence[inspect.Parameter]) -> None:
    """Give a wrapper the signature that Typer reads."""
    del command.__wrapped__
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}


def _dataclass_options(kind: Any) -> list[inspect.Parameter]:
    inner = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=inner[field.name],
        )
        for field in fields(kind)
    ]


_SHORT = {"batch_size": "batch", "learning_rate": "rate", "options": "option"}
"""Settings whose option has a shorter name."""


def _training_options(kind: type[TrainingSettings]) -> list[inspect.Parameter]:
    """Return the options of a kind of training: numbers and switches as such, all else as text."""
    made = []
    for name, field in kind.model_fields.items():
        option = f"--{_SHORT.get(name, name).replace('_', '-')}"
        bounds = {key: getattr(of, key) for of in field.metadata for key in ("ge", "le") if hasattr(of, key)}
        given: dict[str, Any] = {"help": field.description}
        default: Any = field.default
        as_type: Any = str
        if field.annotation is bool:
            as_type, option = bool, f"{option}/--no{option[1:]}"
        elif field.annotation in (int, float):
            as_type = field.annotation
            given |= {"min": bounds.get("ge"), "max": bounds.get("le")}
        elif isinstance(default, dict):
            as_type, default = list[str] | None, None
        elif default is None:
            as_type = str | None
        else:
            default = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
            default = "none" if default == "None" else default  # as values are written
        if default in (None, "") and "efault" not in (field.description or ""):
            given["help"] = f"{(field.description or '').rstrip('.')}. Default: none."
        annotation = Annotated[as_type, typer.Option(option, **given)]
        made.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation))
    return made


def _training(kind: type[TrainingSettings], values: dict[str, Any]) -> TrainingSettings:
    """Return the settings that options mean."""
    texts = [f"option.{text}" for text in values.pop("options", None) or ()]
    texts += [f"{name}={value}" for name, value in values.items() if isinstance(value, str)]
    plain = {name: value for name, value in values.items() if not isinstance(value, str)}
    return parse_settings(kind(**plain), texts)
