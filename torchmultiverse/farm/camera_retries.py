"""What is tried for a picture that fails a check of quality: the same scene with the camera moved a little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchmultiverse.engines import Frame
from torchmultiverse.scenes import Design, Scene, Spec
from torchmultiverse.store import limits_of, measure, outside


@dataclass(frozen=True)
class CameraRetries:
    """The moves of the camera that a spec allows.

    Attributes:
        limits: of the checks, see `torchmultiverse.store.quality`.
        steps: (factor, degrees added to it), one after the other. Only factors that the design does not vary.
    """

    limits: Mapping[str, Sequence[float]]
    steps: Sequence[tuple[str, float]]

    @classmethod
    def of(cls, spec: Spec, design: Design) -> CameraRetries | None:
        """Return what a spec allows; ``None`` where it allows nothing, or its design varies the camera itself."""
        most = spec.quality.nudge
        free = [name for name in ("Camera_Yaw", "Camera_Pitch") if name not in design.factors]
        steps = [(name, part * most) for part in (0.5, -0.5, 1.0, -1.0) for name in free]
        return cls(spec.quality.limits, steps) if most and steps else None

    def failed(self, frame: Frame) -> int:
        """Return how many checks a frame fails."""
        return len(outside(measure(frame), limits_of(frame.scene.wire, self.limits)))

    def scene(self, scene: Scene, step: int) -> Scene:
        """Return a scene with the camera moved."""
        name, degrees = self.steps[step]
        return scene.changed(**{name: scene.get_float(name) + degrees})

    def labelled(self, frame: Frame, scene: Scene, step: int) -> Frame:
        """Return the picture of a moved scene as the answer to the scene itself, which says how it was moved."""
        name, degrees = self.steps[step]
        return frame.instead_of(scene, nudge={name: degrees})
