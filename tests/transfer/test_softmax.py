"""Linear classifiers of features. What could silently be wrong: a solver that stops before the minimum, a penalty that
is chosen on the pictures it is tested on, and a search that one diverging trial decides.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torchmultiverse.transfer import softmax  # noqa: E402
from torchmultiverse.transfer.softmax import Problem, principal_axes, solve_lbfgs, solve_sgd, unit_rows  # noqa: E402


def _clouds(count: int, classes: int, width: int, seed: int, noise: float = 0.22) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    middle = np.random.default_rng(9).normal(size=(classes, width))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    y = np.arange(count) % classes
    return unit_rows((0.7 * middle[y] + noise * rng.normal(size=(count, width))).astype(np.float32)), y


def _problem(seed: int, fit: int = 320, width: int = 64) -> Problem:
    (x, y), (v, w), (t, _) = (_clouds(n, 8, width, 3 * seed + k) for k, n in enumerate((fit, 80, 400)))
    return Problem(x, y, v, w, t, np.concatenate([x, v]), np.concatenate([y, w]))


def _minimum(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """The same loss in double precision by another solver."""
    from scipy.optimize import minimize

    classes, width = y.max() + 1, x.shape[1]
    once = np.eye(classes)[y]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:-classes].reshape(width, classes), flat[-classes:]
        logits = x @ weight + bias
        logits -= logits.max(1, keepdims=True)
        total = np.log(np.exp(logits).sum(1))
        slope = np.exp(logits - total[:, None]) - once
        value = (total - (logits * once).sum(1)).sum() + (weight**2).sum() / 2 / strength
        return value, np.concatenate([(x.T @ slope + weight / strength).ravel(), slope.sum(0)])

    found = minimize(loss, np.zeros(classes * (width + 1)), jac=True, method="L-BFGS-B",
                     options={"maxiter": 2000, "gtol": 1e-7, "ftol": 1e-14})  # fmt: skip
    return found.x[:-classes].reshape(width, classes)


@pytest.mark.parametrize("rotated", [False, True])
def test_the_minimum_is_reached_whatever_the_axes(rotated: bool) -> None:
    x, y = _clouds(320, 8, 64, 0)
    axes = principal_axes(x) if rotated else np.eye(64, dtype=np.float32)
    assert np.allclose(axes.T @ axes, np.eye(64), atol=1e-5)
    features, answers = torch.from_numpy(x @ axes)[None], torch.from_numpy(y)[None]
    for strength in (1.0, 1000.0):
        found, converged = softmax._lbfgs(
            features, answers, softmax._zeros(features, 8), softmax._penalties([strength], features)
        )
        wanted = _minimum(x.astype(float), y, strength)
        assert converged.all()
        weight = axes @ found[0, :-1].numpy()
        assert np.linalg.norm(weight - wanted) < 0.05 * np.linalg.norm(wanted)


def test_problems_side_by_side_are_as_one_by_one() -> None:
    problems = [_problem(seed) for seed in range(3)]
    together = solve_lbfgs(problems, 8)
    for problem, found in zip(problems, together, strict=True):
        alone = solve_lbfgs([problem], 8)[0]
        assert found.chosen == alone.chosen
        assert found.validation == pytest.approx(alone.validation)
        assert (found.prediction == alone.prediction).mean() > 0.99


def test_fewer_pictures_than_features_give_the_same_answers(monkeypatch) -> None:
    """The problem is then solved in the space that the pictures span."""
    problem = _problem(1, fit=40, width=512)
    assert softmax._reduced(problem).fit.shape[1] == 160  # 40 to fit and 120 in the end
    found = solve_lbfgs([problem], 8)[0]
    monkeypatch.setattr(softmax, "_reduced", lambda one: one)
    plain = solve_lbfgs([problem], 8)[0]
    assert found.chosen == plain.chosen
    assert (found.prediction == plain.prediction).mean() > 0.97


def test_the_test_pictures_have_no_say() -> None:
    """Answers of the test pictures are not even given; other test pictures leave the chosen setting as it is."""
    problem = _problem(2)
    other = Problem(problem.fit, problem.y_fit, problem.validation, problem.y_validation, problem.test[::-1].copy(),
                    problem.final, problem.y_final)  # fmt: skip
    one, two = solve_lbfgs([problem], 8)[0], solve_lbfgs([other], 8)[0]
    assert one.chosen == two.chosen
    assert (one.prediction == two.prediction[::-1]).all()


def test_the_schedule_of_the_source_agrees_with_the_solver() -> None:
    x, y = _clouds(640, 8, 32, 1, 0.25)
    v, w = _clouds(160, 8, 32, 2, 0.25)
    t, answers = _clouds(2400, 8, 32, 3, 0.25)
    problem = Problem(x, y, v, w, t)
    found = solve_sgd(problem, 8, np.random.default_rng(0), trials=8, epochs=40)
    other = solve_lbfgs([problem], 8)[0]
    one, two = ((solved.prediction == answers).mean() for solved in (found, other))
    assert abs(one - two) < 0.02, (one, two)
    assert found.converged
    assert set(found.chosen) == {"rate", "decay"}
    again = solve_sgd(problem, 8, np.random.default_rng(0), trials=8, epochs=40)
    assert (again.prediction == found.prediction).all()
    assert again.chosen == found.chosen


def test_a_trial_that_diverges_has_failed(monkeypatch) -> None:
    problem = _problem(0)
    big = Problem(1e6 * problem.fit, problem.y_fit, 1e6 * problem.validation, problem.y_validation, problem.test)
    monkeypatch.setattr(softmax, "RATES", (1e33, 1e38))
    found = solve_sgd(big, 8, np.random.default_rng(0), trials=3, epochs=3)
    assert not found.converged
    assert found.prediction.shape == (400,)


def test_a_scale_of_all_features_is_gone_with_their_length() -> None:
    x, _ = _clouds(80, 8, 16, 0)
    assert np.allclose(unit_rows(1000 * x), unit_rows(x), atol=1e-6)
    assert (unit_rows(np.zeros((2, 3), np.float32)) == 0).all()
