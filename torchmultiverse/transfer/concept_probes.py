"""Few-shot and full probes of one set of classes: which pictures they learn from, and what they say.

Pictures of one group, an asset or a scene, are never both learnt and asked about. The test pictures are the same for
all models, shots and seeds; a seed draws the validation pictures, the shots and, by SGD, weights and batches.

Source: M. B. Sariyildiz (2023), section 3.3.4, and the code of ImageNet-CoG for what the text leaves open.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.models import FloatArray
from torchmultiverse.scenes import canonical_json
from torchmultiverse.transfer.softmax import EPOCHS, TRIALS, Problem, Solved, principal_axes, solve_lbfgs, solve_sgd

ALL = 0
"""A number of shots that means all pictures."""
GROUPS = ("character_name", "world_name", "world_label", "background")
"""Columns that may group pictures, the first that every class has at least two levels of being taken."""
TESTED, _HELD = 0.25, 0.2
"""Shares of the pictures that are asked about, and of the others that choose the penalty."""
_TRIES = 200
_WIDEST = 2500  # features whose principal axes are found in seconds
Validation = Literal["shots", "full", "none"]


@dataclass(frozen=True)
class ProbeProtocol:
    """How probes are trained and chosen.

    Attributes:
        solver: ``lbfgs``, or ``sgd`` as in the source.
        validation: of few-shot probes: ``shots``, as many validation pictures as shots; ``full``, a fifth of all
            training pictures, as in the source, which is no few-shot setting; ``none``, a fixed penalty.
        seeds: how many.
        seed: of the test split, and of all else together with the number of the seed.
        trials, epochs: of ``sgd``.
    """

    solver: Literal["lbfgs", "sgd"] = "lbfgs"
    validation: Validation = "shots"
    seeds: int = 5
    seed: int = 0
    trials: int = TRIALS
    epochs: int = EPOCHS


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of some classes, by their place in the table of features.

    Attributes:
        rows: places, (N,).
        codes: classes, 0 to C − 1, (N,).
        groups: numbers of groups, (N,); pictures of one group are not independent.
        train, test: places among these N, sorted.
    """

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """C."""
        return int(self.codes.max()) + 1

    @property
    def chance(self) -> float:
        """Share of the most frequent class among the test pictures."""
        codes = self.codes[self.test]
        return float(np.bincount(codes).max() / len(codes))

    @property
    def fewest(self) -> int:
        """Training pictures of the class that has fewest."""
        return int(np.bincount(self.codes[self.train], minlength=self.classes).min())


def group_column(columns: Mapping[str, NDArray[Any]], labels: Sequence[str], wanted: str, dataset: str) -> str:
    """Return the column whose groups stay together, ``rows`` for none.

    Args:
        columns: of the dataset, (N,) each.
        labels: class of each row.
        wanted: a column, ``rows``, or ``auto``: the first of `GROUPS` that fits.
        dataset: name, for errors.

    Raises:
        DatasetError: no such column, or one of whose levels some class has a single one.
    """
    codes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)[1]
    if wanted == "rows":
        return wanted
    if wanted == "auto":
        return next((name for name in GROUPS if name in columns and not _single(columns[name], codes)), "rows")
    if wanted not in columns:
        raise QuestionError(f"{dataset} has no column '{wanted}' to group by.{nearest(wanted, columns)}")
    if _single(columns[wanted], codes):
        raise DatasetError(f"pictures cannot be grouped by '{wanted}': some class has one level of it alone")
    return wanted


def _single(values: NDArray[Any], codes: NDArray[np.int64]) -> bool:
    groups = np.unique(values.astype(str), return_inverse=True)[1]
    pairs = np.unique(np.stack([codes, groups], 1), axis=0)
    return bool((np.bincount(pairs[:, 0]) < 2).any())


def held_out(
    codes: NDArray[np.int64], groups: NDArray[np.int64], fraction: float, rng: np.random.Generator,
    cells: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_] | None:  # fmt: skip
    """Return which pictures are held out, whole groups at a time, some of each class and never all of one; or ``None``.

    Groups of one class, such as assets, are drawn class by class; groups that classes share, such as worlds, are held
    out for all classes alike.

    Args:
        codes: classes, (N,).
        groups: (N,).
        fraction: of the pictures that is held out, about.
        rng: draws the groups.
        cells: combination of factors of each picture, (N,), of which each class has as many. Then as many of each are
            held out of each class, or, of groups of several pictures, about as many as whole groups allow; the share of
            a combination differs from the fraction by less than a picture.

    >>> codes, worlds = np.repeat([0, 1], 6), np.tile([0, 1, 2], 4)
    >>> int(held_out(codes, worlds, 0.3, np.random.default_rng(0)).sum())
    4
    """
    groups = np.unique(groups, return_inverse=True)[1]
    pairs = np.unique(np.stack([groups, codes], 1), axis=0)
    count = int(codes.max()) + 1
    if len(pairs) == groups.max() + 1:  # each group is of one class
        if cells is not None:
            return _balanced(codes, groups, fraction, rng, np.unique(cells, return_inverse=True)[1])
        class_of = pairs[:, 1]
        out = np.zeros(len(pairs), bool)
        for code in range(count):
            mine = rng.permutation(np.flatnonzero(class_of == code))
            if len(mine) < 2:
                return None
            out[mine[: min(max(1, round(fraction * len(mine))), len(mine) - 1)]] = True
        return np.asarray(out[groups])
    sizes = np.bincount(groups)
    for _ in range(_TRIES):
        order = rng.permutation(len(sizes))
        share = (np.cumsum(sizes[order]) - sizes[order] / 2) / len(codes)
        out = np.zeros(len(sizes), bool)
        out[order] = share < fraction
        out[order[0]] = True
        mine = out[groups]
        if len(np.unique(codes[mine])) == count == len(np.unique(codes[~mine])):
            return np.asarray(mine)
    return None


def _balanced(
    codes: NDArray[np.int64], groups: NDArray[np.int64], fraction: float, rng: np.random.Generator,
    cells: NDArray[np.int64],
) -> NDArray[np.bool_] | None:  # fmt: skip
    """Return which pictures are held out, by groups of one class, with about the same share of each cell."""
    count = int(cells.max()) + 1
    # One order of cells and one start for all classes: where these have as many of each cell, as many are held out.
    order, start = rng.permutation(count), rng.random()
    out = np.zeros(len(codes), bool)
    for code in range(int(codes.max()) + 1):
        mine = np.flatnonzero(codes == code)
        names, members = np.unique(groups[mine], return_inverse=True)
        if len(names) < 2:
            return None
        wanted = min(max(1, round(fraction * len(names))), len(names) - 1)
        if len(names) == len(mine):
            mine = rng.permutation(mine)
            mine = mine[np.argsort(order[cells[mine]], kind="stable")]
            # Every n/k-th picture: of a cell of m, m k/n rounded down or up.
            passed = np.floor(np.arange(len(mine) + 1) * wanted / len(mine) + start)
            out[mine[np.diff(passed) > 0]] = True
            continue
        shown = np.zeros((len(names), count))
        np.add.at(shown, (members, cells[mine]), 1)
        goal = shown.sum(0) * wanted / len(names)
        draws = [rng.permutation(len(names))[:wanted] for _ in range(_TRIES)]
        best = min(draws, key=lambda drawn: float(np.abs(shown[drawn].sum(0) - goal).sum()))
        out[mine[np.isin(members, best)]] = True
    return out


@dataclass(frozen=True)
class ProbedClasses:
    """What probes of some classes said.

    Attributes:
        shots: pictures of each class that they learnt from; `ALL` for all.
        correct: how often each test picture was told rightly, a share of the seeds, (T,).
        of_seeds: accuracy of each seed.
        chosen: setting of each seed, by name.
        validation: accuracy of each seed on the pictures that chose it.
        converged: share of the seeds whose solver reached its tolerance.
        prediction: of each seed, (S, T).
    """

    shots: int
    correct: NDArray[np.float64]
    of_seeds: NDArray[np.float64]
    chosen: Mapping[str, NDArray[np.float64]]
    validation: NDArray[np.float64]
    converged: float
    prediction: NDArray[np.int64] = field(repr=False)

    @property
    def accuracy(self) -> float:
        """Mean over test pictures and seeds."""
        return float(self.of_seeds.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; NaN of a single one."""
        return float(self.of_seeds.std(ddof=1)) if len(self.of_seeds) > 1 else math.nan


class ProbeFolder:
    """Finished probes on disk: by what they were made of, so that none is made twice and none is taken for another.

    Args:
        folder: made where there is none; ``None`` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def load(self, key: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of a key, or ``None`` where there are none, or none that can be read."""
        if self.folder is None or not (path := self.folder / f"{key}.npz").is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        except Exception:  # whatever a damaged archive makes NumPy raise
            return None

    def save(self, key: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays, whole or not at all.

        Raises:
            DatasetError: they cannot be written.
        """
        if self.folder is None:
            return
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(self.folder / f"{key}.npz", buffer.getvalue())


def probe_classes(
    features: FloatArray, pictures: ClassPictures, shots: Sequence[int], protocol: ProbeProtocol,
    kept: ProbeFolder | None = None,
) -> Iterator[ProbedClasses]:  # fmt: skip
    """Train and ask the probes of all seeds, for each number of shots.

    Args:
        features: of the pictures, (N, D) float32, rows of length 1 (`torchmultiverse.transfer.softmax.unit_rows`).
        pictures: their classes and parts.
        shots: pictures of each class that are learnt from; `ALL` for all.
        protocol: how.
        kept: finished probes.

    Raises:
        DatasetError: fewer pictures than shots.
    """
    kept = kept or ProbeFolder(None)
    digest = _digest(features, pictures)
    turned: FloatArray | None = None
    for count in shots:
        key = _key(digest, count, protocol)
        held = kept.load(key)
        if held is None:
            if turned is None:
                turned = _turned(features, pictures, protocol)
            solved = _solved(turned, pictures, count, protocol)
            held = {
                "prediction": np.stack([one.prediction for one in solved]).astype(np.int32),
                "validation": np.array([one.validation for one in solved]),
                "converged": np.array([one.converged for one in solved]),
                **{f"chosen_{name}": np.array([one.chosen[name] for one in solved]) for name in solved[0].chosen},
            }
            kept.save(key, held)
        right = held["prediction"] == pictures.codes[pictures.test]
        chosen = {name.removeprefix("chosen_"): array for name, array in held.items() if name.startswith("chosen_")}
        yield ProbedClasses(
            count, right.mean(0), right.mean(1), chosen, held["validation"], float(held["converged"].mean()),
            held["prediction"].astype(np.int64),
        )  # fmt: skip


def _turned(features: FloatArray, pictures: ClassPictures, protocol: ProbeProtocol) -> FloatArray:
    """Return features in their principal axes, in which the solver is fast; what is said is the same in any axes."""
    if protocol.solver != "lbfgs" or features.shape[1] > _WIDEST:
        return features
    return np.asarray(features @ principal_axes(features[pictures.train]))


def _solved(features: FloatArray, pictures: ClassPictures, shots: int, protocol: ProbeProtocol) -> list[Solved]:
    problems = [_problem(features, pictures, shots, protocol, number) for number in range(protocol.seeds)]
    if protocol.solver == "lbfgs":
        return _solve_alike(problems, pictures.classes)
    return [
        solve_sgd(
            problem, pictures.classes, np.random.default_rng((protocol.seed, number, shots, 3)), protocol.trials,
            protocol.epochs,
        )
        for number, problem in enumerate(problems)
    ]  # fmt: skip


def _solve_alike(problems: Sequence[Problem], classes: int) -> list[Solved]:
    """Solve problems, those of one shape side by side."""
    found: dict[int, Solved] = {}
    shapes: dict[tuple[int, ...], list[int]] = {}
    for k, one in enumerate(problems):
        final = 0 if one.final is None else len(one.final)
        shapes.setdefault((len(one.fit), len(one.validation), final), []).append(k)
    for places in shapes.values():
        found.update(zip(places, solve_lbfgs([problems[k] for k in places], classes), strict=True))
    return [found[k] for k in range(len(problems))]


def _problem(
    features: FloatArray, pictures: ClassPictures, shots: int, protocol: ProbeProtocol, number: int
) -> Problem:
    """Return what one seed learns from, is chosen by, and is asked about.

    The validation pictures of one seed are the same for all numbers of shots, and more shots contain fewer.
    """
    rng = np.random.default_rng((protocol.seed, number, 2))
    codes, groups = pictures.codes, pictures.groups
    train = pictures.train
    out = held_out(codes[train], groups[train], _HELD, rng)
    if out is None:  # a class has one training group: it is divided by picture
        out = held_out(codes[train], np.arange(len(train)), _HELD, rng)
    if out is None:
        raise DatasetError("a class has a single training picture: none is left to choose the penalty by")
    rest, held = rng.permutation(train[~out]), rng.permutation(train[out])
    final: NDArray[np.int64] | None = train
    if protocol.validation == "none":
        rest, held = rng.permutation(train), held[:0]
        final = None
    if shots != ALL:
        rest = _first_of_each(rest, codes, shots, pictures.classes)
        final = None
        if protocol.validation == "shots":
            held = _first_of_each(held, codes, shots, pictures.classes, fewer=True)
        elif protocol.validation == "full":  # as in the source: the last fit has shots of its own
            final = _first_of_each(rng.permutation(train), codes, shots, pictures.classes)
    x = features
    made = Problem(x[rest], codes[rest], x[held], codes[held], x[pictures.test])
    return made if final is None else replace(made, final=x[final], y_final=codes[final])


def _first_of_each(
    order: NDArray[np.int64], codes: NDArray[np.int64], shots: int, classes: int, fewer: bool = False
) -> NDArray[np.int64]:
    found = []
    for code in range(classes):
        mine = order[codes[order] == code][:shots]
        if len(mine) < shots and not fewer:
            raise DatasetError(f"{shots} shots: class number {code} has {len(mine)} pictures to learn from")
        found.append(mine)
    return np.concatenate(found)


def most_shots(pictures: ClassPictures, protocol: ProbeProtocol) -> int:
    """Return how many shots every class has, whatever is held out for validation by any seed."""
    least = pictures.fewest
    if protocol.validation == "none":
        return least
    codes, groups, train = pictures.codes, pictures.groups, pictures.train
    for number in range(protocol.seeds):
        rng = np.random.default_rng((protocol.seed, number, 2))
        out = held_out(codes[train], groups[train], _HELD, rng)
        if out is None:
            out = held_out(codes[train], np.arange(len(train)), _HELD, rng)
        if out is not None:
            least = min(least, int(np.bincount(codes[train[~out]], minlength=pictures.classes).min()))
    return least


def _digest(features: FloatArray, pictures: ClassPictures) -> str:
    digest = hashlib.sha256()
    for part in (features, pictures.codes, pictures.groups, pictures.train, pictures.test):
        digest.update(f"{part.shape} {part.dtype}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _key(digest: str, shots: int, protocol: ProbeProtocol) -> str:
    how: dict[str, Any] = {
        "version": 1, "of": digest, "shots": shots, "solver": protocol.solver, "validation": protocol.validation,
        "seeds": protocol.seeds, "seed": protocol.seed,
    }  # fmt: skip
    if protocol.solver == "sgd":
        how |= {"trials": protocol.trials, "epochs": protocol.epochs}
    return hashlib.sha256(canonical_json(how).encode()).hexdigest()[:32]
