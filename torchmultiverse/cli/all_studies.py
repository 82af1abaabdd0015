"""The studies that ``analyze model --all`` adds beside its page, each with a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torchmultiverse.cli.output import place, say
from torchmultiverse.errors import TorchMultiverseError

if TYPE_CHECKING:
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.study import Study

Ask = Callable[[], "Study"]

ASKED_APART = (
    "concepts: what unseen classes cost needs classes that were not learnt: 'analyze concepts'",
    "domains: which factor is the domain is for the user to say: 'analyze domains'",
    "corruptions: every picture is encoded again for each corruption: 'analyze corruptions'",
    "units in words, in other models and on scenes that are rendered anew: 'analyze units --words, --also, --render'",
    "fourier: pairs of pictures that differ in known factors are made: 'analyze fourier'",
)
"""What is not asked here, why, and where it is."""


def add_studies(
    model: str, data: Path, out: Path, run: RunOptions, layer: str | None, factors: Sequence[str] | None,
    group: str, limit: int | None,
) -> tuple[str, ...]:  # fmt: skip
    """Ask every study that the kept features answer, and write its page below a folder.

    Returns:
        What could not be asked, and why.
    """
    from torchmultiverse.report import write_report
    from torchmultiverse.trust import TrustOptions, study_trust
    from torchmultiverse.units import UnitOptions, study_units

    units = UnitOptions(layer=layer, factors=factors, limit=limit, groups=2.0, errors=True, group=group)
    trust = TrustOptions(layer=layer, factors=factors, group=group, limit=limit)
    studies: dict[str, Ask] = {
        "units": lambda: study_units(model, data, units, run, out / "units")[0],
        "trust": lambda: study_trust(model, data, trust, run)[0],
    }
    notes = []
    for name, ask in studies.items():
        try:
            study = ask()
        except TorchMultiverseError as error:
            notes.append(f"{name}: {error}")
            continue
        study.save(out / name)
        page = write_report(study, out / name)
        say(study.headline)
        place("page", page)
    return (*notes, *ASKED_APART)
