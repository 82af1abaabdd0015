"""What a run did, for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torchmultiverse.engines import Failure
from torchmultiverse.store import Inspection

MOST_NAMED = 10
"""Failed scenes that a report says by name."""


@dataclass
class GenerateReport:
    """What a run did.

    Attributes:
        out: folder of the dataset.
        images: rows of the dataset now.
        rendered: pictures rendered by this run.
        seconds: duration of this run.
        failures: scenes that could not be rendered.
        lost: what ended those workers that did not live to the end; the others did their work.
        quality: what was found in the pictures; None where there is none.
        checked: of scenes that were rendered once more, by id, the largest difference from the stored picture (of
            255), or None where the second try failed.
        untrusted: scenes whose stored picture shows something else than the second one, by id, and why.
        places: where the spec writes out scenes that failed, by the id of the failure's scene: ``design.scenes[3]``.
    """

    out: Path
    images: int
    rendered: int
    seconds: float
    failures: list[Failure] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    quality: Inspection | None = None
    checked: dict[str, int | None] = field(default_factory=dict)
    untrusted: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether every scene was rendered, and no picture is in doubt."""
        return not self.failures and not self.untrusted

    def __str__(self) -> str:
        rate = f", {self.rendered / self.seconds:.1f} pictures/s" if self.rendered and self.seconds else ""
        text = f"{self.out}: {self.images} pictures, {self.rendered} rendered now in {self.seconds:.0f} s{rate}"
        if self.quality is not None and not self.quality.good:
            text += f"\nquality: {self.quality}"
        if self.checked:
            apart = [value for value in self.checked.values() if value != 0]
            text += f"\nrendered once more: {len(self.checked)} pictures, "
            text += (
                "each the same" if not apart else f"{len(apart)} differ, by up to {max(v or 255 for v in apart)} of 255"
            )
        if self.untrusted:
            text += (
                f"\n{len(self.untrusted)} pictures cannot be trusted, all in manifest.json: rendered once more, they "
            )
            text += "show something else. To render them again, drop their shards and repeat the same command: "
            text += f"torchmultiverse data verify {self.out} --drop-bad"
            text += "".join(f"\n  {scene_id} {reason}" for scene_id, reason in list(self.untrusted.items())[:10])
        for reason in self.lost:
            text += f"\na worker was lost on the way: {reason}"
        if self.failures:
            text += f"\n{len(self.failures)} scenes failed; the same command tries them again:"
            text += "".join(f"\n  {self._said(failure)}" for failure in self.failures[:MOST_NAMED])
            if len(self.failures) > MOST_NAMED:
                text += f"\n  … and {len(self.failures) - MOST_NAMED} more, all in manifest.json"
        return text

    def _said(self, failure: Failure) -> str:
        place = self.places.get(failure.scene.scene_id)
        return f"{place}: {failure.error()}" if place else str(failure.error())
