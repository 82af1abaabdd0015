"""What is said of a dataset when its rows are all there: quality, leakage, card."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.store.card import write_card
from torchmultiverse.store.inspection import Inspection, inspect
from torchmultiverse.store.leaks import as_dict, leakage
from torchmultiverse.store.reader import open_dataset


def finish(out: Path, *, unchanged: bool = False, card: bool = True) -> Inspection:
    """Look at all pictures and write ``quality.json``, ``leakage.json`` and the card.

    Args:
        out: folder of the dataset.
        unchanged: nothing was added since, so what was found then is good.
        card: whether the card is written.

    Raises:
        DatasetError: something cannot be read or written.
    """
    dataset = open_dataset(out)
    found: Inspection | None = None
    if unchanged:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = Inspection.from_dict(json.loads((out / "quality.json").read_text()))
            found = kept if kept.images == len(dataset) else None
    if found is None:
        with disk_errors(out):
            leaks = json.dumps(as_dict(leakage(dataset)), indent=1) + "\n"
            write_atomic(out / "leakage.json", leaks.encode())
            found = inspect(dataset)
            write_atomic(out / "quality.json", (json.dumps(found.as_dict(), indent=1) + "\n").encode())
    if card:
        write_card(out, dataset.manifest, dataset, found)
    return found
