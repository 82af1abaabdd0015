"""Linear softmax classifiers of frozen features, several at once: by L-BFGS, and by the schedule of the source.

Problems of one shape, such as the seeds of one experiment, are solved side by side: one matrix product for all.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.models import FloatArray, device

if TYPE_CHECKING:
    import torch

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Values of C that are tried, from the strongest penalty to the weakest."""
_PATIENCE = 2
_EARLIEST = 10.0  # C before which a path does not end: under a strong penalty all answers may be one class
_STEPS, _HISTORY = 200, 10
_TOLERANCE = 1e-4  # of the loss: what another step is expected to gain
TRIALS, EPOCHS, BATCH = 30, 100, 1024
RATES, DECAYS = (0.1, 100.0), (1e-12, 1e-4)
"""Ranges of the learning rate and weight decay that the source searches, log-uniformly."""
_SMALL = 10**9  # multiplications of one pass, below which one thread is used
_MOST = 2**28  # numbers of features that are held a second time at once


@dataclass(frozen=True)
class Problem:
    """Pictures that a classifier learns from, those that choose its penalty, and those it is asked about.

    Attributes:
        fit, validation, final, test: features, (N, D) float32 each; ``validation`` may be empty, then `fixed` is used.
            ``final`` is what the chosen penalty is fitted to in the end; None: the same as ``fit``.
        y_fit, y_validation, y_final: classes, 0 to C − 1.
    """

    fit: FloatArray
    y_fit: NDArray[np.int64]
    validation: FloatArray
    y_validation: NDArray[np.int64]
    test: FloatArray
    final: FloatArray | None = None
    y_final: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Solved:
    """What a classifier says.

    Attributes:
        prediction: of the test pictures, (N,).
        validation: accuracy of the chosen setting on the validation pictures; NaN where there are none.
        chosen: the setting, by name.
        converged: whether the solver reached its tolerance, of the last fit.
    """

    prediction: NDArray[np.int64]
    validation: float
    chosen: dict[str, float]
    converged: bool


def unit_rows(features: FloatArray) -> FloatArray:
    """Return features of length 1 in each row; a row of zeros stays so.

    >>> unit_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    length = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(np.divide(features, length, out=np.zeros_like(length * features), where=length > 0), np.float32)


def solve_lbfgs(problems: Sequence[Problem], classes: int, fixed: float = 10.0) -> list[Solved]:
    """Return what classifiers say whose L2 penalty is chosen on the validation pictures.

    Minimised is Σ cross-entropy + |W|² / 2C, without a penalty of the bias. From the strongest penalty to the weakest
    each solution starts the next; the path ends where the validation pictures are all right, or got no better twice
    (not before C = 10). Of equals the stronger penalty is chosen.

    Args:
        problems: all of one shape.
        classes: C.
        fixed: C where there are no validation pictures.
    """
    one = problems[0]
    count = max(1, min(len(problems), _MOST // max(1, one.fit.size)))
    if count < len(problems):
        parts = [problems[k : k + count] for k in range(0, len(problems), count)]
        return [solved for part in parts for solved in solve_lbfgs(part, classes, fixed)]
    with _threads(len(problems) * one.fit.size * classes):
        return _solve(problems, classes, fixed)


@contextlib.contextmanager
def _threads(products: int) -> Iterator[None]:
    """Use one thread for small products: to wait for the others takes longer, above all where cores are busy."""
    import torch

    before = torch.get_num_threads()
    if products < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _solve(problems: Sequence[Problem], classes: int, fixed: float) -> list[Solved]:
    one = problems[0]
    small = [_reduced(problem) for problem in problems]
    x, y = _stacked([p.fit for p in small]), _stacked([p.y_fit for p in small])
    if len(one.validation):
        held = _stacked([p.validation for p in small]), _stacked([p.y_validation for p in small])
        chosen, found, weights, converged = _path(x, y, held, classes)
    else:
        chosen, found = [fixed] * len(problems), [math.nan] * len(problems)
        weights, converged = _lbfgs(x, y, _zeros(x, classes), _penalties(chosen, x))
    if small[0].final is not None:
        x, y = _stacked([p.final for p in small]), _stacked([p.y_final for p in small])
        weights, converged = _lbfgs(x, y, weights, _penalties(chosen, x))
    logits = _logits(_stacked([p.test for p in small]), weights)
    said = logits.argmax(-1).cpu().numpy()
    return [
        Solved(said[k], found[k], {"C": chosen[k]}, bool(converged[k])) for k in range(len(problems))
    ]  # fmt: skip


def _reduced(problem: Problem) -> Problem:
    """Return the same problem in the space that its pictures span, where they are fewer than the features.

    The penalty is the same in any rotation, and weights of directions that no picture has are zero.
    """
    final = problem.fit if problem.final is None else problem.final
    rows = np.concatenate([problem.fit, final]) if problem.final is not None else problem.fit
    if len(rows) >= rows.shape[1] // 2:
        return problem
    basis = np.linalg.qr(rows.T.astype(np.float64))[0].astype(np.float32)
    basis = basis @ principal_axes(rows @ basis)
    return Problem(
        problem.fit @ basis, problem.y_fit, problem.validation @ basis, problem.y_validation, problem.test @ basis,
        None if problem.final is None else problem.final @ basis, problem.y_final,
    )  # fmt: skip


def principal_axes(features: FloatArray) -> FloatArray:
    """Return the principal axes of features about zero as columns, (D, D).

    In these axes the curvature of the loss is nearly diagonal, so that the solver needs a tenth of the steps; the
    penalty and all that is predicted are the same in any rotation.
    """
    import torch

    some = torch.from_numpy(np.ascontiguousarray(features)).to(device())
    axes = torch.linalg.eigh((some.T @ some).double())[1]
    return np.asarray(axes.float().cpu().numpy())


def _stacked(arrays: Sequence[Any]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.stack(arrays)).to(device())


def _zeros(x: torch.Tensor, classes: int) -> torch.Tensor:
    """Return weights, the bias below them: (B, D + 1, C)."""
    return x.new_zeros(len(x), x.shape[2] + 1, classes)


def _logits(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.baddbmm(weights[:, -1:], x, weights[:, :-1])


def _penalties(strengths: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    """Return what |W|² is multiplied by, twice, where cross-entropy is a mean, (B,)."""
    import torch

    return torch.tensor([1 / (c * x.shape[1]) for c in strengths], device=x.device)


def _path(
    x: torch.Tensor, y: torch.Tensor, held: tuple[torch.Tensor, torch.Tensor], classes: int
) -> tuple[list[float], list[float], torch.Tensor, NDArray[np.bool_]]:
    """Return of every problem the best C, its validation accuracy, its weights, and whether they converged."""
    import torch

    count = len(x)
    current, best = _zeros(x, classes), _zeros(x, classes)
    chosen, found, worse = [STRENGTHS[0]] * count, [-1.0] * count, [0] * count
    converged = np.zeros(count, bool)
    active = list(range(count))
    for strength in STRENGTHS:
        index = torch.tensor(active, device=x.device)
        whole = len(active) == count
        some = (x, y, *held) if whole else tuple(part[index] for part in (x, y, *held))
        weights, ended = _lbfgs(some[0], some[1], current[index], _penalties([strength] * len(active), x))
        current[index] = weights
        right = (_logits(some[2], weights).argmax(-1) == some[3]).float().mean(1).tolist()
        for place, k in enumerate(active):
            if right[place] > found[k]:
                found[k], chosen[k], worse[k], converged[k] = right[place], strength, 0, ended[place]
                best[k] = weights[place]
            elif strength >= _EARLIEST:
                worse[k] += 1
        active = [k for k in active if worse[k] < _PATIENCE and found[k] < 1]
        if not active:
            break
    return chosen, found, best, converged


def _objective(
    x: torch.Tensor, y: torch.Tensor, penalties: torch.Tensor
) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return a function of weights (B, D + 1, C) to losses (B,) and their gradients."""
    import torch

    count = x.shape[1]
    index = y[:, :, None]
    turned = x.transpose(1, 2)

    def of(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = _logits(x, weights)
        said = torch.log_softmax(logits, -1)
        loss = -said.gather(2, index).sum((1, 2)) / count
        slope = said.exp_().scatter_add_(2, index, torch.full_like(index, -1, dtype=said.dtype)) / count
        gradient = torch.empty_like(weights)
        torch.bmm(turned, slope, out=gradient[:, :-1])
        gradient[:, :-1] += penalties[:, None, None] * weights[:, :-1]
        gradient[:, -1] = slope.sum(1)
        return loss + penalties / 2 * (weights[:, :-1] ** 2).sum((1, 2)), gradient

    return of


def _lbfgs(
    x: torch.Tensor, y: torch.Tensor, start: torch.Tensor, penalties: torch.Tensor
) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """Return the minima of several problems, and which reached the tolerance; a step halves until it descends enough.

    Source: J. Nocedal, *Updating quasi-Newton matrices with limited storage*, 1980, each problem with its own history.
    """
    import torch

    objective = _objective(x, y, penalties)
    weights = start.clone()
    loss, gradient = objective(weights)
    shape = _shape(x, weights, penalties)
    pairs: list[_Pair] = []
    done = torch.zeros_like(loss, dtype=torch.bool)
    for _ in range(_STEPS):
        direction = _direction(gradient, pairs, shape)
        slope = (direction * gradient).sum((1, 2))
        done |= slope.abs() / 2 <= _TOLERANCE * loss
        if bool(done.all()):
            break
        length = (~done).to(loss.dtype)
        for _ in range(25):
            moved = weights + length[:, None, None] * direction
            new, slopes = objective(moved)
            short = (new > loss + 1e-4 * length * slope + 1e-7 * loss) & ~done
            if not bool(short.any()):
                break
            length[short] *= 0.5
        else:
            done |= short
            moved[short], new[short], slopes[short] = weights[short], loss[short], gradient[short]
        pairs = _remember(pairs, moved - weights, slopes - gradient)
        weights, loss, gradient = moved, new, slopes
    return weights, done.cpu().numpy()


_Pair = tuple[Any, Any, Any]


def _remember(pairs: list[_Pair], moved: torch.Tensor, turned: torch.Tensor) -> list[_Pair]:
    """Return the history with one step more; a problem that did not move, or not convexly, has zeros there."""
    product = (moved * turned).sum((1, 2))
    inverse = (1 / product.clamp_min(1e-20)).where(product > 1e-14, product.new_zeros(()))
    return [*pairs[-_HISTORY + 1 :], (moved, turned, inverse)]


def _shape(x: torch.Tensor, weights: torch.Tensor, penalties: torch.Tensor) -> torch.Tensor:
    """Return about how far each weight is from its minimum for a slope of one: 1 over the curvature, (B, D + 1, 1)."""
    import torch

    said = torch.softmax(_logits(x, weights), -1)
    bend = (said * (1 - said)).mean((1, 2))[:, None]
    curved = torch.cat([bend * (x**2).mean(1) + penalties[:, None], bend], 1)
    return 1 / curved.clamp_min(1e-12)[:, :, None]


def _direction(gradient: torch.Tensor, pairs: list[_Pair], shape: torch.Tensor) -> torch.Tensor:
    """Return where each problem goes next: two loops over what it remembers."""
    direction = -gradient
    factors = []
    for moved, turned, inverse in reversed(pairs):
        factor = inverse * (moved * direction).sum((1, 2))
        direction = direction - factor[:, None, None] * turned
        factors.append(factor)
    direction = direction * shape
    if pairs:
        moved, turned, inverse = pairs[-1]
        scale = (moved * turned).sum((1, 2)) / (turned**2 * shape).sum((1, 2)).clamp_min(1e-20)
        scale = scale.where(inverse > 0, scale.new_ones(()))
        direction = direction * scale[:, None, None]
    for (moved, turned, inverse), factor in zip(pairs, reversed(factors), strict=True):
        back = inverse * (turned * direction).sum((1, 2))
        direction = direction + (factor - back)[:, None, None] * moved
    return direction


def solve_sgd(
    problem: Problem, classes: int, rng: np.random.Generator, trials: int = TRIALS, epochs: int = EPOCHS
) -> Solved:
    """Return what a classifier says that is trained as in the source, all trials side by side.

    Momentum 0.9, batches of 1024, weight decay also of the bias, a cosine that lags one epoch behind, no warm-up.
    Learning rate and weight decay are drawn log-uniformly from `RATES` and `DECAYS`; the trial that is best on the
    validation pictures after the last epoch is trained again on ``final``. A trial that diverges counts as failed. The
    source draws by a tree-structured Parzen estimator, here all draws are independent.

    Args:
        problem: with validation pictures, or the middle of both ranges is taken.
        classes: C.
        rng: draws trials, weights and batches.
        trials, epochs: how many.
    """
    rates, decays = (np.exp(rng.uniform(math.log(low), math.log(high), trials)) for low, high in (RATES, DECAYS))
    best, found = 0, math.nan
    if len(problem.validation):
        weights = _descend(problem.fit, problem.y_fit, classes, rates, decays, rng, epochs)
        finite = np.isfinite(weights).all((1, 2))
        right = np.full(trials, -1.0)
        for k in np.flatnonzero(finite):
            right[k] = (_said(problem.validation, weights[k]) == problem.y_validation).mean()
        best, found = int(right.argmax()), float(right.max())
    else:
        rates[0], decays[0] = (float(np.sqrt(low * high)) for low, high in (RATES, DECAYS))
    x, y = problem.final, problem.y_final
    if x is None or y is None:
        x, y = problem.fit, problem.y_fit
    weights = _descend(x, y, classes, rates[best : best + 1], decays[best : best + 1], rng, epochs)
    chosen = {"rate": float(rates[best]), "decay": float(decays[best])}
    return Solved(_said(problem.test, weights[0]), found, chosen, bool(np.isfinite(weights).all() and found != -1))


def _said(x: FloatArray, weights: FloatArray) -> NDArray[np.int64]:
    return np.asarray((x @ weights[:-1] + weights[-1]).argmax(1), np.int64)


def _descend(
    x: FloatArray, y: NDArray[np.int64], classes: int, rates: NDArray[np.float64], decays: NDArray[np.float64],
    rng: np.random.Generator, epochs: int,
) -> FloatArray:  # fmt: skip
    """Return weights, the bias below them, after the last epoch: (T, D + 1, C)."""
    import torch

    where = device()
    features, answers = torch.from_numpy(np.ascontiguousarray(x)).to(where), torch.from_numpy(y).to(where)
    bound = 1 / math.sqrt(x.shape[1])
    start = rng.uniform(-bound, bound, (x.shape[1] + 1, classes)).astype(np.float32)
    weights = torch.from_numpy(np.repeat(start[None], len(rates), 0)).to(where)
    rate, decay = (torch.tensor(v, dtype=torch.float32, device=where)[:, None, None] for v in (rates, decays))
    speed = torch.zeros_like(weights)
    size = min(BATCH, len(x))
    for epoch in range(epochs):
        now = rate * 0.5 * (1 + math.cos(math.pi * max(0, epoch - 1) / epochs))
        order = torch.from_numpy(rng.permutation(len(x))).to(where)
        for at in range(0, len(x), size):
            index = order[at : at + size]
            some = features[index]
            slope = torch.softmax(some @ weights[:, :-1] + weights[:, -1:], -1)
            slope[:, torch.arange(len(index), device=where), answers[index]] -= 1
            slope /= len(index)
            gradient = torch.cat([some.T @ slope, slope.sum(1, keepdim=True)], 1)
            speed.mul_(0.9).add_(gradient).add_(decay * weights)
            weights -= now * speed
    return np.asarray(weights.cpu().numpy())
