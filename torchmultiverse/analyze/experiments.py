"""Experiments with a decoder: what a change of the picture, or of its vector, does to what is drawn.

Each is a few rows of pictures and a small table of numbers over many pictures, so that nobody has to conclude from
three of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType

from torchmultiverse.analyze.experiment import Experiment, Experiments
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.image_experiments import attacks, changes
from torchmultiverse.analyze.image_prior import prior
from torchmultiverse.analyze.sample_experiments import compare_layers, confidence, distances
from torchmultiverse.analyze.vector_experiments import imagined, manipulations, means, sums
from torchmultiverse.errors import DatasetError, SettingError, nearest

EXPERIMENTS: Mapping[str, Callable[[ExperimentSetup], Experiment]] = MappingProxyType(
    {
        "changes": changes, "attacks": attacks, "manipulations": manipulations, "means": means, "sums": sums,
        "imagined": imagined, "confidence": confidence, "distances": distances, "prior": prior,
    }
)  # fmt: skip

ASKED_BY_NAME = frozenset({"prior"})
"""Experiments that are not run by default: they train a network for each picture."""


def run_experiments(
    setup: ExperimentSetup, names: Sequence[str] | None = None, others: Sequence[ExperimentSetup] = ()
) -> Experiments:
    """Run several experiments with a decoder.

    Args:
        setup: the decoder.
        names: of `EXPERIMENTS`; by default all but `ASKED_BY_NAME`, without those that the data do not allow.
        others: decoders of other layers to hold it against.

    Raises:
        ModelError: no such experiment.
        DatasetError: data that do not allow an experiment that was asked for by name.
    """
    for name in names or ():
        if name not in EXPERIMENTS:
            raise SettingError(f"no experiment '{name}'.{nearest(name, EXPERIMENTS)}")
    found, notes = [], []
    if others:
        found.append(compare_layers([setup, *others]))
    for name in names or (name for name in EXPERIMENTS if name not in ASKED_BY_NAME):
        try:
            found.append(EXPERIMENTS[name](setup))
        except DatasetError as error:
            if names:
                raise
            notes.append(f"{name}: {error}")
    return Experiments(
        config=asdict(setup.conditioned.decoder.config), dataset=setup.conditioned.features.dataset,
        experiments=tuple(found), notes=tuple(notes),
    )  # fmt: skip
