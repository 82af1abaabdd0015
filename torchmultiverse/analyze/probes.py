"""Probes: small classifiers of frozen features: what can be told from them, and how easily.

All take features of train, validation and test pictures, choose their hyper-parameters on the validation pictures and
never look at the test. Features are standardised by the mean and standard deviation of the training pictures, since
layers differ in scale by orders of magnitude and one learning rate would rank them unfairly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SettingError, nearest
from torchmultiverse.models import FloatArray, device

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of features as the model gives them: ``features @ weight + bias`` are logits.

    Attributes:
        weight: (D, C) float32.
        bias: (C,) float32.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the probability of each answer, (N, C)."""
        logits = features @ self.weight + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), np.float32)


@dataclass(frozen=True)
class ProbePrediction:
    """What a probe says.

    Attributes:
        prediction: of the test pictures: codes (N,), or numbers (N, T) of a regression.
        validation: accuracy, or R² of a regression, on the validation pictures.
        hyperparameters: as the validation pictures chose them.
        importance: how much each feature counts for each answer, (D, C), where the probe can say.
        confidence: probability of the answer given, (N,), where the probe can say.
        probe: the classifier itself, where it is linear.
    """

    prediction: NDArray[Any]
    validation: float
    hyperparameters: Mapping[str, int | float] = field(default_factory=lambda: MappingProxyType({}))
    importance: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    probe: LinearProbe | None = None


@dataclass(frozen=True)
class ProbeData:
    """Features and answers of the three parts.

    Attributes:
        train, validation, test: features, (N, D) each.
        y_train, y_validation: codes (N,), or numbers (N, T).
        classes: number of answers; 0 for a regression.
    """

    train: FloatArray
    validation: FloatArray
    test: FloatArray
    y_train: NDArray[Any]
    y_validation: NDArray[Any]
    classes: int

    def scale(self) -> tuple[FloatArray, FloatArray]:
        """Return the mean of each feature over the training pictures, and 1 over its std; 0 of constant ones."""
        mean = self.train.mean(0, dtype=np.float64)
        std = self.train.std(0, dtype=np.float64)
        scale = np.divide(1, std, out=np.zeros_like(std), where=std > 1e-6 * max(float(std.max()), 1e-30))
        return mean.astype(np.float32), scale.astype(np.float32)

    def standard(self) -> ProbeData:
        """Return the same with features of mean 0 and std 1 over the training pictures; constant ones become 0."""
        middle, factor = self.scale()
        parts = [(part - middle) * factor for part in (self.train, self.validation, self.test)]
        return ProbeData(parts[0], parts[1], parts[2], self.y_train, self.y_validation, self.classes)


def logistic(data: ProbeData, rng: np.random.Generator) -> ProbePrediction:
    """Multinomial logistic regression by L-BFGS; the L2 penalty is chosen on the validation pictures.

    From the strongest penalty to the weakest, each solution starting the next; the path ends where the validation
    pictures are all right, or have become no better twice.
    """
    import torch

    middle, factor = data.scale()
    data = data.standard()
    x, y = _tensors(data)
    weight = torch.zeros(data.train.shape[1], data.classes, device=x["train"].device, requires_grad=True)
    bias = torch.zeros(data.classes, device=x["train"].device, requires_grad=True)
    best: tuple[float, float, torch.Tensor, torch.Tensor] | None = None
    worse = 0
    for penalty in PENALTIES:
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe", tolerance_change=1e-5
        )

        def loss(penalty: float = penalty, optimizer: Any = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(x["train"] @ weight + bias, y["train"])
            value = value + penalty / 2 * (weight**2).sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            found = float(((x["validation"] @ weight + bias).argmax(1) == y["validation"]).float().mean())
        if best is None or found > best[0]:
            best, worse = (found, penalty, weight.detach().clone(), bias.detach().clone()), 0
        else:
            worse += 1
        if worse == 2 or best[0] == 1:
            break
    assert best is not None
    predicted = _linear_prediction(x["test"], best[2], best[3], best[0], {"penalty": best[1]})
    raw = factor[:, None] * best[2].cpu().numpy()
    return replace(predicted, probe=LinearProbe(raw, best[3].cpu().numpy() - middle @ raw))


PENALTIES = (3.0, 0.3, 0.03, 0.003, 0.0003)
_STEPS = 12  # of L-BFGS for each penalty, each starting from the last


def linear(data: ProbeData, rng: np.random.Generator) -> ProbePrediction:
    """A linear classifier by SGD with momentum 0.9 and a cosine schedule; the rate is chosen on the validation part.

    All rates are trained side by side, as DINOv2's evaluation does.
    """
    import torch

    data = data.standard()
    x, y = _tensors(data)
    where = x["train"].device
    rates = torch.tensor(RATES, device=where)
    weight = torch.zeros(len(RATES), data.train.shape[1], data.classes, device=where)
    bias = torch.zeros(len(RATES), 1, data.classes, device=where)
    speed = [torch.zeros_like(weight), torch.zeros_like(bias)]
    size = min(_BATCH, len(data.train))
    steps = max(1, len(data.train) // size)
    total = _EPOCHS * steps
    for epoch in range(_EPOCHS):
        order = torch.from_numpy(rng.permutation(len(data.train))).to(where)
        for step in range(steps):
            index = order[step * size : (step + 1) * size]
            some, targets = x["train"][index], y["train"][index]
            fraction = torch.softmax(some @ weight + bias, -1)
            fraction[:, torch.arange(len(index), device=where), targets] -= 1
            slopes = (some.T @ fraction / len(index), fraction.mean(1, keepdim=True))
            factor = 0.5 * (1 + np.cos(np.pi * (epoch * steps + step) / total))
            for value, momentum, slope in zip((weight, bias), speed, slopes, strict=True):
                momentum.mul_(0.9).add_(slope)
                value -= factor * rates[:, None, None] * momentum
    prediction = (x["validation"] @ weight + bias).argmax(-1) == y["validation"]
    scores = prediction.float().mean(1)
    best = int(scores.argmax())
    return _linear_prediction(x["test"], weight[best], bias[best, 0], float(scores[best]), {"rate": RATES[best]})


RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_BATCH, _EPOCHS = 128, 15


def knn(data: ProbeData, rng: np.random.Generator) -> ProbePrediction:
    """Weighted vote of the nearest training pictures by cosine, weights exp(cosine / T); k and T are chosen.

    Source: Z. Wu et al., *Unsupervised feature learning via non-parametric instance discrimination*, CVPR 2018.
    """
    import torch

    where = device()
    train, validation, test = (
        torch.nn.functional.normalize(torch.from_numpy(np.ascontiguousarray(part)).to(where), dim=1)
        for part in (data.train, data.validation, data.test)
    )
    targets = torch.from_numpy(data.y_train).to(where)
    most = min(max(NEIGHBOURS), len(train))

    def near(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = [(some @ train.T).topk(most, 1) for some in torch.split(part, _CHUNK)]
        return torch.cat([f.values for f in found]), targets[torch.cat([f.indices for f in found])]

    def votes(cosine: torch.Tensor, labels: torch.Tensor, k: int, temperature: float) -> torch.Tensor:
        weight = torch.exp((cosine[:, :k] - cosine[:, :1]) / temperature)
        return torch.zeros(len(cosine), data.classes, device=where).scatter_add_(1, labels[:, :k], weight)

    cosine, labels = near(validation)
    answers = torch.from_numpy(data.y_validation).to(where)
    grid = [(k, t) for k in NEIGHBOURS if k <= most or k == min(NEIGHBOURS) for t in TEMPERATURES]
    scores = [float((votes(cosine, labels, *choice).argmax(1) == answers).float().mean()) for choice in grid]
    best = int(np.argmax(scores))
    k, temperature = grid[best]
    fraction = votes(*near(test), k, temperature)
    fraction = fraction / fraction.sum(1, keepdim=True)
    confidence, prediction = fraction.max(1)
    return ProbePrediction(
        prediction.cpu().numpy(), scores[best], {"k": k, "temperature": temperature}, None, confidence.cpu().numpy()
    )


NEIGHBOURS = (5, 10, 20, 50, 100, 200)
TEMPERATURES = (0.07, 0.2)
_CHUNK = 2048


def mlp(data: ProbeData, rng: np.random.Generator) -> ProbePrediction:
    """One hidden layer of 256 by AdamW; training ends after five epochs that were no better on the validation part."""
    import torch

    data = data.standard()
    x, y = _tensors(data)
    where = x["train"].device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        net = torch.nn.Sequential(
            torch.nn.Linear(data.train.shape[1], _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, data.classes)
        ).to(where)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-2)
    best, answer, waited, last = -1.0, None, 0, 0
    for epoch in range(_MOST):
        order = torch.from_numpy(rng.permutation(len(data.train))).to(where)
        for index in torch.split(order, _BATCH):
            loss = torch.nn.functional.cross_entropy(net(x["train"][index]), y["train"][index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            found = float((net(x["validation"]).argmax(1) == y["validation"]).float().mean())
            if found > best:
                best, answer, waited, last = found, torch.softmax(net(x["test"]), 1), 0, epoch + 1
            else:
                waited += 1
        if waited == 5:
            break
    assert answer is not None
    confidence, prediction = answer.max(1)
    return ProbePrediction(prediction.cpu().numpy(), best, {"epochs": last}, None, confidence.cpu().numpy())


_HIDDEN, _MOST = 256, 40


def ridge(data: ProbeData, rng: np.random.Generator) -> ProbePrediction:
    """Linear regression in closed form; the penalty is chosen by R² on the validation pictures."""
    data = data.standard()
    mean = data.y_train.mean(0)
    values, vectors = np.linalg.eigh(data.train.T.astype(np.float64) @ data.train)
    right = vectors.T @ (data.train.T.astype(np.float64) @ (data.y_train - mean))
    inside = data.validation @ vectors
    best: tuple[float, float, NDArray[np.float64]] | None = None
    for penalty in np.logspace(-5, 2, 15):
        weight = right / (np.maximum(values, 0) + penalty * len(data.train))[:, None]
        score = r_squared(inside @ weight + mean, data.y_validation)
        if best is None or score > best[0]:
            best = (score, float(penalty), vectors @ weight)
    assert best is not None
    return ProbePrediction(
        data.test @ best[2] + mean, best[0], {"penalty": best[1]}, np.abs(best[2]).astype(np.float32)
    )


def r_squared(prediction: NDArray[Any], targets: NDArray[Any]) -> float:
    """Return the fraction of the variance of numbers (N, T) that is explained; below 0 where the mean does better."""
    residual = ((prediction - targets) ** 2).sum()
    total = ((targets - targets.mean(0)) ** 2).sum()
    return float(1 - residual / total) if total > 0 else 0.0


Probe = Callable[[ProbeData, np.random.Generator], ProbePrediction]
PROBES: Mapping[str, Probe] = MappingProxyType({"logistic": logistic, "linear": linear, "knn": knn, "mlp": mlp})
"""Probes of levels. Numbers are read by `ridge`."""


def probe_of(name: str) -> Probe:
    """Return a probe by name.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in PROBES:
        raise SettingError(f"no probe '{name}'.{nearest(name, PROBES)}")
    return PROBES[name]


def _tensors(data: ProbeData) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    import torch

    where = device()
    x = {
        name: torch.from_numpy(np.ascontiguousarray(getattr(data, name))).to(where)
        for name in ("train", "validation", "test")
    }
    y = {name: torch.from_numpy(getattr(data, f"y_{name}")).to(where) for name in ("train", "validation")}
    return x, y


def _linear_prediction(
    test: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, score: float, hyperparameters: dict[str, Any]
) -> ProbePrediction:
    import torch

    confidence, prediction = torch.softmax(test @ weight + bias, 1).max(1)
    importance = (weight - weight.mean(1, keepdim=True)).abs().cpu().numpy()
    return ProbePrediction(prediction.cpu().numpy(), score, hyperparameters, importance, confidence.cpu().numpy())
