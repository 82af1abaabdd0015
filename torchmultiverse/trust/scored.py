"""Scores of the test pictures of a probe: what is told without labels, and what the probe then said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, ProbeData, Split, factor_target, nearest_rows, probe_of, split
from torchmultiverse.errors import QuestionError
from torchmultiverse.features import ActiveFeatures, Features, Sign, active_features, discriminative_features
from torchmultiverse.models import FloatArray
from torchmultiverse.trust.trust_options import TrustOptions

Q, CONFIDENCE, DENSITY, SHUFFLED = (
    "Q-Score",
    "confidence of the probe",
    "nearness to training",
    "Q-Score of a shuffled band",
)
NEIGHBOURS = 10


@dataclass(frozen=True)
class Scored:
    """Scores of the test pictures, and what the probe said of them.

    Attributes:
        vectors: of all pictures, (N, r).
        target: what the probe predicts.
        parts: of the pictures; scores are of those of the test, T.
        scores: by name, (T,) each, high where the answer should be right.
        right: (T,).
        active: features of all pictures.
        activity: of the training pictures, (r,).
        band: discriminative features, (r,).
        known: whether a test picture has an active discriminative feature, (T,).
    """

    vectors: FloatArray
    target: FactorTarget
    parts: Split
    scores: Mapping[str, NDArray[np.float64]]
    right: NDArray[np.bool_]
    active: ActiveFeatures
    activity: NDArray[np.float64]
    band: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Places of the test pictures among the features, (T,)."""
        return self.parts.test

    @property
    def groups(self) -> NDArray[np.int64]:
        """Of the test pictures, (T,)."""
        return self.parts.groups[self.parts.test]

    @property
    def empty(self) -> float:
        """Share of test pictures without an active discriminative feature."""
        return float((~self.known).mean())

    def probe_data(self, features: FloatArray) -> ProbeData:
        """Return what a probe learns from features of all pictures, (N, D)."""
        parts, codes = self.parts, self.target.codes
        return ProbeData(
            features[parts.train], features[parts.validation], features[parts.test], codes[parts.train],
            codes[parts.validation], len(self.target.levels),
        )  # fmt: skip


def score_pictures(
    vectors: FloatArray, features: Features, label: str, sign: Sign, options: TrustOptions, seed: int
) -> Scored:
    """Train a probe, and score its test pictures.

    Raises:
        QuestionError: the label is a number, too few groups, or too few features for so high an epsilon.
    """
    rng = np.random.default_rng(seed)
    target = factor_target(features.columns, label)
    if target.numbers is not None:
        raise QuestionError(f"'{label}' is a number; a column of classes is needed")
    parts = split(features.columns, target, rng, options.group)
    data = ProbeData(
        vectors[parts.train], vectors[parts.validation], vectors[parts.test], target.codes[parts.train],
        target.codes[parts.validation], len(target.levels),
    )  # fmt: skip
    said = probe_of("logistic")(data, rng)
    assert said.confidence is not None
    active = active_features(vectors, options.epsilon, sign)
    activity = active_features(vectors[parts.train], options.epsilon, sign).activity()
    band = discriminative_features(activity, options.band, options.of)
    scores, known = active.scores(band)
    shuffled, _ = active.scores(rng.permutation(band))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    near = nearest_rows(unit[parts.test], unit[parts.train], min(NEIGHBOURS, len(parts.train))).distances
    return Scored(
        vectors, target, parts,
        {
            Q: scores[parts.test], CONFIDENCE: said.confidence.astype(np.float64),
            DENSITY: -np.sqrt(np.maximum(near, 0)).mean(1).astype(np.float64), SHUFFLED: shuffled[parts.test],
        },
        np.asarray(said.prediction == target.codes[parts.test]), active, activity, band, known[parts.test],
    )  # fmt: skip
