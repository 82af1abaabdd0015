"""All that is asked of one representation, and the folder that keeps the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torchmultiverse.analyze.depth import Depths
from torchmultiverse.analyze.geometry import Shape
from torchmultiverse.store.files import write_atomic


@dataclass(frozen=True)
class Analysis:
    """What came of analysing a model.

    Attributes:
        model: its facts, as `ModelInfo.as_dict` gives them.
        dataset: name, pictures and manifest hash of what it was shown.
        depths: what is read where, if it was asked.
        shapes: geometry by layer, if it was asked.
        provenance: versions, seed and command.
    """

    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    depths: Depths | None = None
    shapes: tuple[Shape, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "model": dict(self.model),
            "dataset": dict(self.dataset),
            "depths": self.depths.as_dict() if self.depths else None,
            "shapes": [asdict(shape) for shape in self.shapes],
            "provenance": dict(self.provenance),
        }

    def save(self, out: str | Path) -> Path:
        """Write ``analysis.json``, the tables as CSV, and the page ``index.html``; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report.analysis import analysis_page
        from torchmultiverse.report.tables import rows_as_csv

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "analysis.json", (json.dumps(self.as_dict(), indent=1) + "\n").encode())
        if self.depths:
            write_atomic(out / "depths.csv", rows_as_csv([asdict(reach) for reach in self.depths.reaches]).encode())
            write_atomic(out / "cuts.csv", rows_as_csv([asdict(cut) for cut in self.depths.cuts]).encode())
        if self.shapes:
            write_atomic(out / "geometry.csv", rows_as_csv([_flat(shape) for shape in self.shapes]).encode())
        write_atomic(out / "index.html", analysis_page(self).encode())
        return out / "index.html"


def _flat(shape: Shape) -> dict[str, Any]:
    row: dict[str, Any] = {
        "layer": shape.layer, "depth": shape.depth, "size": shape.size, "rank_me": shape.rank_me,
        "effective_rank": shape.effective_rank, "uniformity": shape.uniformity,
        "disentanglement": shape.disentanglement.disentanglement,
    }  # fmt: skip
    row |= {f"sensitivity {r.factor}": r.sensitivity for r in shape.responses}
    row |= {f"completeness {name}": value for name, value in shape.disentanglement.completeness.items()}
    return row | {f"information gap {name}": value for name, value in shape.gap.items()}
