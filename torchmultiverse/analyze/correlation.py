"""What a background says of its object without any memory: by the design of the data, and by what can be learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.label_inference import Inference
from torchmultiverse.documents import Record
from torchmultiverse.models import FloatArray


class FactorAssociation(Record):
    """How much a factor says of the label.

    Attributes:
        factor: column.
        cramers_v: Cramér's V, 0 (independent) to 1.
        p_value: of independence, by the chi-squared test.
    """

    factor: str
    cramers_v: float
    p_value: float


def factor_associations(
    columns: Mapping[str, NDArray[Any]], label: NDArray[np.int64], factors: Sequence[str]
) -> list[FactorAssociation]:
    """Return how much each factor says of the label: where none does, a background says nothing of its object.

    Args:
        columns: of the pictures, (N,) each.
        label: codes (N,).
        factors: columns to ask.
    """
    from scipy.stats import chi2_contingency

    found = []
    for name in factors:
        levels, codes = np.unique(columns[name].astype(str), return_inverse=True)
        table = np.zeros((len(levels), int(label.max()) + 1))
        np.add.at(table, (codes, label), 1)
        table = table[:, table.any(0)]
        if min(table.shape) < 2:
            continue
        test = chi2_contingency(table, correction=False)
        cramers_v = float(np.sqrt(test.statistic / (table.sum() * (min(table.shape) - 1))))
        found.append(FactorAssociation(factor=name, cramers_v=cramers_v, p_value=float(test.pvalue)))
    return found


def infer_from_backgrounds(
    crops: FloatArray, targets: NDArray[np.int64], public: FloatArray, labels: NDArray[np.int64], seed: int = 0
) -> Inference:
    """Infer labels from what backgrounds say of objects, without any model that was trained on the pictures.

    A logistic classifier learns the label from crops of public pictures; what it names, correlation explains. With it
    as the reference a single model can be scored, slightly too high.

    Args:
        crops: features of the crops that are asked for, (N, D), of an encoder that saw none of them, or of pixels.
        targets: their labels, codes (N,).
        public: features of crops of public pictures, (M, D), of the same encoder.
        labels: of these, codes (M,).
        seed: of the division into training and validation.

    Source: N. Kokhlikyan, B. Jayaraman, F. Bordes, C. Guo and K. Chaudhuri, *Measuring déjà vu memorization
    efficiently*, NeurIPS 2024.
    """
    from torchmultiverse.analyze.probes import ProbeData, logistic

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(public))
    validation, train = np.split(order, [max(1, len(order) // 5)])
    classes = int(max(labels.max(), targets.max())) + 1
    predicted = logistic(
        ProbeData(public[train], public[validation], crops, labels[train], labels[validation], classes), rng
    )
    assert predicted.confidence is not None
    correct = predicted.prediction == targets
    return Inference(predicted.prediction, predicted.confidence.astype(np.float64), correct, correct)
