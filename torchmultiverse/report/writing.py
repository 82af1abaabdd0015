"""The only writer of pages: whatever was saved becomes ``index.html`` and tables beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchmultiverse.analyze import (
    Analysis,
    Experiments,
    Memorization,
    MemorizationSweep,
    Misalignment,
    SampleEvaluation,
)
from torchmultiverse.documents import Document
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Result
from torchmultiverse.files import check_folder, disk_errors, write_atomic
from torchmultiverse.remote import local_copy
from torchmultiverse.report.analysis import analysis_page, analysis_tables
from torchmultiverse.report.experiments import experiment_sheets, experiments_page
from torchmultiverse.report.explorer import explore
from torchmultiverse.report.memorization import memorization_page, memorization_tables
from torchmultiverse.report.misalignment import misalignment_page, misalignment_tables
from torchmultiverse.report.page import evaluation_page, evaluation_tables
from torchmultiverse.report.samples import samples_page
from torchmultiverse.report.study import study_page, study_tables
from torchmultiverse.report.sweep import sweep_page, sweep_tables
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Study

PAGE = "index.html"


@dataclass(frozen=True)
class RecordKind:
    """How records of one class become a page.

    Attributes:
        record: the class.
        page: returns the page of a record.
        attachments: returns the files beside the page, by name: tables, sheets.
        files: one of which a folder holds where such a record was saved.
        subfolder: of it, where the page is put by default.
    """

    record: type[Any]
    page: Callable[[Any], str]
    attachments: Callable[[Any], Mapping[str, str | bytes]]
    files: tuple[str, ...]
    subfolder: str = ""


def _document(
    record: type[Document], page: Callable[[Any], str], attachments: Callable[[Any], Mapping[str, str | bytes]]
) -> RecordKind:
    return RecordKind(record, page, attachments, (record.file, *record.former_files))


KINDS = (
    RecordKind(Result, evaluation_page, evaluation_tables, ("results.parquet",), "report"),
    _document(Analysis, analysis_page, analysis_tables),
    _document(Memorization, memorization_page, memorization_tables),
    _document(MemorizationSweep, sweep_page, sweep_tables),
    _document(Misalignment, misalignment_page, misalignment_tables),
    _document(SampleEvaluation, samples_page, lambda record: {}),
    _document(Experiments, experiments_page, experiment_sheets),
    _document(Study, study_page, study_tables),
)
"""Every kind of record that has a page."""


def write_report(record: Any, out: str | Path, dataset: ImageSet | None = None, quiet: bool = True) -> Path:
    """Write the page of a record, and the tables and figures beside it; returns the page.

    The page needs no other file and no network: style, charts and pictures are inside it. Beside that of an evaluation
    ``explore.html`` shows every single answer.

    Args:
        record: an evaluation's result, or a record of an analysis.
        out: folder to write.
        dataset: what was evaluated: ``explore.html`` then shows all its pictures.
        quiet: show no bar.

    Raises:
        DatasetError: no record that has a page, or a folder that cannot be written.
    """
    kind = next((kind for kind in KINDS if isinstance(record, kind.record)), None)
    if kind is None:
        raise DatasetError(f"{type(record).__name__} has no page; {', '.join(k.record.__name__ for k in KINDS)} have")
    out = Path(out)
    check_folder(out)
    files = {**kind.attachments(record), PAGE: kind.page(record)}
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomic(out / name, content.encode() if isinstance(content, str) else content)
        if isinstance(record, Result):
            explore(record, out, dataset, quiet)
    return out / PAGE


def load_record(folder: str | Path) -> tuple[Any, Path]:
    """Return the record that was saved in a folder, by this or an older version, and where its page is put by default.

    Args:
        folder: that a command wrote, or the file of a record in it; an address of either.

    Raises:
        DatasetError: there is none, there are several, or it cannot be read.
    """
    path = local_copy(folder)
    if not path.exists():
        raise DatasetError(f"{folder}: no such folder; a record is made by `eval run` and the commands of `analyze`")
    place = path if path.is_dir() else path.parent
    names = (
        {path.name} if path.is_file() else {name for kind in KINDS for name in kind.files if (path / name).is_file()}
    )
    found = [kind for kind in KINDS if names.intersection(kind.files)]
    if not found:
        known = ", ".join(name for kind in KINDS for name in kind.files)
        what = "holds no record" if path.is_dir() else "is no record"
        raise DatasetError(f"{folder} {what} that has a page; one of these would be: {known}")
    if len(found) > 1:
        raise DatasetError(f"{folder} holds several records: name one of {', '.join(sorted(names))} in it")
    kind = found[0]
    record = kind.record.load(path if issubclass(kind.record, Document) else place)
    return record, place / kind.subfolder
