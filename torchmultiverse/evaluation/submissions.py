"""A leaderboard entry: a small file that says what a model scored, and a check that scores it again.

The file holds the numbers, what they were made of and with (manifest, weights, preprocessing, protocol, packages), and
a digest of the per-picture rows. ``check`` reads it against its schema, computes the numbers again from the rows where
these are given, and scores the model again where the dataset and the model can be had: *claimed* and *re-run* stand
side by side, as RobustBench does it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from torchmultiverse.documents import Document, Record
from torchmultiverse.evaluation.provenance import DatasetFacts, ModelFacts, migrated_images
from torchmultiverse.evaluation.result import AVERAGE, Result
from torchmultiverse.evaluation.run import evaluate

_TOLERANCE = 5e-4
"""Accuracies nearer than this agree: one picture in 2,000 may be decided by the last bit of another machine."""


class Score(Record):
    """One number: accuracy in [0, 1] with its 95 % interval."""

    task: str
    setting: str
    scope: str
    metric: str
    n: int = Field(gt=0)
    accuracy: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class ProtocolFacts(Record):
    """Which protocol was used."""

    name: str
    version: int


class Submission(Document):
    """What one model scored on one dataset.

    Attributes:
        model: its facts: name, weights, their SHA-256, preprocessing, precision.
        protocol: name and version.
        protocol_sha256: of the protocol as it was used.
        dataset: name, number of images, SHA-256 of the manifest.
        scores: over all images, not broken down.
        rows_sha256: of the per-image outcomes.
        packages: versions.
        command: that made the result.
        contact, link: of who submits, and where the model is described.
    """

    file: ClassVar[str] = "entry.json"
    version: ClassVar[int] = 2

    model: ModelFacts
    protocol: ProtocolFacts
    protocol_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    dataset: DatasetFacts
    scores: tuple[Score, ...] = Field(min_length=1)
    rows_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    packages: dict[str, str]
    command: tuple[str, ...]
    contact: str = ""
    link: str = ""

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read entries of version 1, in which images had another name."""
        return {**data, "dataset": migrated_images(data["dataset"])}


@dataclass(frozen=True)
class SubmissionCheck:
    """One thing that was checked.

    Attributes:
        what: it is.
        state: ``ok``, ``note``, or ``fails``.
        finding: what was found.
    """

    what: str
    state: Literal["ok", "note", "fails"]
    finding: str


def submission(result: Result, model: str, contact: str = "", link: str = "") -> Submission:
    """Return the entry of one model of a result.

    Raises:
        DatasetError: the result has no such model.
    """
    facts = result.facts(model)
    keys = ("task", "setting", "scope", "metric", "n", "accuracy", "low", "high")
    cells = [{k: cell[k] for k in keys} for cell in result.cells(model=model, factor="all")]
    protocol, dataset = result.provenance.protocol, result.provenance.dataset
    return Submission(
        model=facts,
        protocol=ProtocolFacts(name=protocol["name"], version=protocol["version"]),
        protocol_sha256=_digest(protocol),
        dataset=DatasetFacts(name=dataset.name, images=dataset.images, manifest_sha256=dataset.manifest_sha256),
        scores=tuple(Score(**cell) for cell in cells),
        rows_sha256=rows_digest(result, model),
        packages=result.provenance.packages,
        command=result.provenance.command,
        contact=contact,
        link=link,
    )


def rows_digest(result: Result, model: str) -> str:
    """Return the SHA-256 of a model's outcomes: image, question, prediction, whether it is right."""
    digest = hashlib.sha256()
    names = ("task", "setting", "scope", "metric", "index", "prediction", "correct")
    kept = [row for row in result.rows.select([*names, "model"]).to_pylist() if row["model"] == model]
    for row in sorted(kept, key=lambda r: (r["task"], r["setting"], r["scope"], r["metric"], r["index"])):
        digest.update(repr([row[name] for name in names]).encode())
    return digest.hexdigest()


def check(
    entry: Submission,
    result: Result | None = None,
    *,
    dataset: Any = None,
    model: Any = None,
    protocol: Any = "auto",
    quiet: bool = True,
    embeddings: str | Path | None = None,
) -> list[SubmissionCheck]:
    """Return what was found; an entry fails where one check does.

    Args:
        entry: to check.
        result: the result it was made of: its numbers are computed again from the rows.
        dataset: the dataset, to score the model again.
        model: the model to score again; by default the entry's own model string.
        protocol: its file, where the package has none of its name.
        quiet: show no bars.
        embeddings: folder of kept embeddings.
    """
    found = [_inside(entry)]
    if result is not None:
        found += _from_rows(entry, result)
    if dataset is not None:
        name = entry.model.name
        again = evaluate(
            dataset, name if model is None else model, entry.protocol.name if protocol == "auto" else protocol,
            quiet=quiet, embeddings=embeddings,
        )  # fmt: skip
        found += _again(entry, again)
    else:
        found.append(SubmissionCheck("re-run", "note", "not tried: name the dataset to score the model again"))
    return found


def _inside(entry: Submission) -> SubmissionCheck:
    """Whether numbers lie in their intervals."""
    bad = [s for s in entry.scores if not s.low - 1e-9 <= s.accuracy <= s.high + 1e-9]
    finding = f"{len(entry.scores)} scores" if not bad else f"{bad[0].task}: {bad[0].accuracy} outside its interval"
    return SubmissionCheck("numbers and intervals", "fails" if bad else "ok", finding)


def _from_rows(entry: Submission, result: Result) -> list[SubmissionCheck]:
    name = entry.model.name
    same = rows_digest(result, name) == entry.rows_sha256
    found = [
        SubmissionCheck("rows", "ok" if same else "fails", "the digest of the rows " + ("fits" if same else "differs"))
    ]
    columns = ["task", "scope", "metric", "setting", "correct"]
    rows = result.rows.filter(pc.equal(result.rows["model"], name)).select(columns).to_pylist()
    answers: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        for setting in {"all", row["setting"]}:
            answers.setdefault((row["task"], row["scope"], row["metric"], setting), []).append(row["correct"])
    for score in entry.scores:
        if score.task == AVERAGE:
            continue
        mine = answers.get((score.task, score.scope, score.metric, score.setting), [])
        if not mine or abs(float(np.mean(mine)) - score.accuracy) > 1e-6 or len(mine) != score.n:
            finding = f"{score.task}, {score.setting}: claimed {score.accuracy:.4f} of {score.n}, the rows say "
            finding += f"{np.mean(mine):.4f} of {len(mine)}" if mine else "nothing"
            found.append(SubmissionCheck("numbers from rows", "fails", finding))
            return found
    found.append(SubmissionCheck("numbers from rows", "ok", f"{len(rows):,} rows give the numbers"))
    return found


def _again(entry: Submission, again: Result) -> list[SubmissionCheck]:
    found = []
    facts = again.provenance.models[0]
    for what, claimed, now in (
        ("dataset", entry.dataset.manifest_sha256, again.provenance.dataset.manifest_sha256),
        ("weights", entry.model.weights_sha256, facts.weights_sha256),
        ("preprocessing", _plain(entry.model.preprocess), _plain(facts.preprocess)),
        ("protocol", entry.protocol_sha256, _digest(again.provenance.protocol)),
    ):
        state: Any = "ok" if claimed == now else "fails"
        found.append(SubmissionCheck(what, state, "the same" if claimed == now else f"claimed {claimed}, here {now}"))
    packages = {k: (v, again.provenance.packages.get(k)) for k, v in entry.packages.items()}
    other = {k: v for k, v in packages.items() if v[0] != v[1]}
    if other:
        finding = ", ".join(f"{name} {was} → {now}" for name, (was, now) in other.items())
        found.append(SubmissionCheck("packages", "note", finding))
    name = again.models[0]
    for score in entry.scores:
        cells = again.cells(model=name, factor="all", task=score.task, setting=score.setting, scope=score.scope,
                            metric=score.metric)  # fmt: skip
        if not cells:
            found.append(SubmissionCheck("re-run", "fails", f"{score.task}, {score.setting} is not asked any more"))
        elif abs(cells[0]["accuracy"] - score.accuracy) > _TOLERANCE:
            finding = f"{score.task}, {score.setting}: claimed {score.accuracy:.4f}, re-run {cells[0]['accuracy']:.4f}"
            found.append(SubmissionCheck("re-run", "fails", finding))
    if not any(c.what == "re-run" for c in found):
        found.append(SubmissionCheck("re-run", "ok", f"{len(entry.scores)} numbers come out again"))
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: tuples are lists."""
    return json.loads(json.dumps(value))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
