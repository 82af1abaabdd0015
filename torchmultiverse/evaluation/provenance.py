"""Where a result came from: a typed record beside its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from pydantic import Field
from typing_extensions import override

from torchmultiverse.documents import Document, Record
from torchmultiverse.evaluation.outcomes import TaskOutcome
from torchmultiverse.evaluation.task import Task


class DatasetFacts(Record):
    """What was evaluated.

    Attributes:
        name: of the dataset.
        images: how many.
        manifest_sha256: of its manifest.
        facts: that the manifest states, such as the engine.
        levels: of the factors that the design varies.
    """

    name: str
    images: int
    manifest_sha256: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)
    levels: dict[str, list[str]] = Field(default_factory=dict)


class ModelFacts(Record):
    """What is declared of a model, see `torchmultiverse.models.ModelInfo`."""

    name: str
    kind: str
    preprocess: dict[str, Any] | None = None
    weights: str = "given"
    weights_sha256: str | None = None
    parameters: int | None = None
    about: str = ""
    embedding: int | None = None
    logit_scale: float | None = None
    text: str = ""
    license: str = ""
    precision: str = "float32"


class TaskFacts(Record):
    """What is declared of a task.

    Attributes:
        name: in the table.
        title, question: for people.
        metric: that the title means by itself; others are named beside it.
        readings: its settings are readings of the same answers, not other images: they are never pooled, and one of
            them is enough in a comparison.
    """

    name: str
    title: str
    question: str = ""
    metric: str = "top1"
    readings: bool = False


class Audit(Record):
    """How many answers a model gives otherwise when some images are encoded one by one and in float32.

    Attributes:
        images: that were encoded again.
        precision: of what was scored.
        answers, changed: that the model gave of them, and that changed.
        largest_difference: of any number of any vector.
    """

    images: int
    precision: str
    answers: int
    changed: int
    largest_difference: float


class SearchFacts(Record):
    """How the best of a task's candidates was found, which changes no answer.

    Attributes:
        model, task, setting, scope: of which.
        dimensions: in which all candidates were compared.
        width: of the vectors. In fewer dimensions scores are bounded, and candidates that can win are scored in all.
        exact: share of the scores that were computed in all dimensions.
    """

    model: str
    task: str
    setting: str
    scope: str
    dimensions: int
    width: int
    exact: float


class IntervalFacts(Record):
    """Coverage of the intervals, and draws of those that are resampled."""

    level: float
    resamples: int


class Provenance(Document):
    """What a result was made of, and with.

    Attributes:
        dataset, models, tasks: what was evaluated, and what was asked.
        protocol: the whole of it, as its file has it.
        notes: what a reader must know, such as images that were left out.
        seed, interval: of the intervals.
        packages, python, platform, command: that made the result.
        audits: by model.
        searches: of tasks with many images and candidates.
    """

    file: ClassVar[str] = "provenance.json"
    version: ClassVar[int] = 2

    dataset: DatasetFacts
    protocol: dict[str, Any]
    models: tuple[ModelFacts, ...]
    tasks: tuple[TaskFacts, ...]
    notes: tuple[str, ...] = ()
    seed: int
    interval: IntervalFacts
    packages: dict[str, str]
    python: str
    platform: str
    command: tuple[str, ...]
    audits: dict[str, Audit] = Field(default_factory=dict)
    searches: tuple[SearchFacts, ...] = ()

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read records from before versions: images had another name, and tasks were known by their names."""
        if version:  # the first had no searches
            return data
        audits = data.get("audits", {})
        return {
            **data,
            "dataset": migrated_images(data["dataset"]),
            "audits": {model: migrated_images(audit) for model, audit in audits.items()},
            "tasks": _tasks_of(data["protocol"]),
        }


def task_facts(tasks: Iterable[Task]) -> tuple[TaskFacts, ...]:
    """Return what is declared of some tasks, each name once."""
    found: dict[str, TaskFacts] = {}
    for task in tasks:
        found.setdefault(
            task.name,
            TaskFacts(
                name=task.name,
                title=task.title or task.name.replace("_", " "),
                question=task.question,
                metric=task.metrics[0] if task.metrics else "",
                readings=task.readings,
            ),
        )
    return tuple(found.values())


def search_facts(model: str, scored: Iterable[TaskOutcome]) -> Iterator[SearchFacts]:
    """Yield how the best candidates of a model's tasks were found, where there were many."""
    for item in scored:
        if item.search.dimensions is not None and item.search.width is not None:
            yield SearchFacts(
                model=model,
                task=item.task.name,
                setting=item.task.setting or "all",
                scope=item.task.scope,
                dimensions=item.search.dimensions,
                width=item.search.width,
                exact=round(item.search.exact, 4),
            )


def migrated_images(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record of before in which the number of images was called ``pictures``."""
    return {"images" if key == "pictures" else key: value for key, value in data.items()}


def _tasks_of(protocol: dict[str, Any]) -> list[dict[str, Any]]:
    kind = protocol.get("kind")
    if kind == "classification":
        return [{"name": kind, "title": "Classification", "readings": True}]
    if kind == "pairs":
        return [
            {"name": "hard_negative", "title": "True caption or hard negative", "metric": "hard_negative"},
            {"name": "winoground", "title": "Winoground", "metric": ""},
        ]
    tasks = protocol.get("tasks", ())
    return [{"name": t["task"], "title": t["title"], "question": t.get("question", "")} for t in tasks]
