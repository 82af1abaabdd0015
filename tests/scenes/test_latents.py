"""The spec of latents. What could silently be wrong: a latent that does not vary, or goes with another."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.scenes import load_spec

RANGES = {
    "Character_Rotation_Yaw": (-90, 90), "Character_Rotation_Pitch": (-90, 90), "Character_Rotation_Roll": (-90, 90),
    "Sun_Elevation": (45, 90), "Sun_Azimuth": (0, 360),
}  # fmt: skip


@pytest.mark.slow
def test_latents_are_drawn_evenly_and_apart() -> None:
    spec = load_spec("latents")
    scenes = list(spec.build())
    assert len(scenes) == 2048
    drawn = {name: np.array([float(scene[name]) for scene in scenes]) for name in RANGES}
    for name, (low, high) in RANGES.items():
        values = (drawn[name] + 180) % 360 - 180 if low < 0 else drawn[name]
        assert low <= values.min() < low + 1
        assert high - 1 < values.max() <= high
        assert np.std(np.histogram(values, 8, (low, high))[0]) < 2  # every part of a range as often
        drawn[name] = values
    correlations = np.abs(np.corrcoef(list(drawn.values())) - np.eye(len(RANGES)))
    assert correlations.max() < 0.1
    for name, count in (("Character2_Texture", 8), ("Scene_Light", 7), ("Character_Name", 12)):
        levels, counts = np.unique([str(scene[name]) for scene in scenes], return_counts=True)
        assert len(levels) == count
        assert np.ptp(counts) <= 2
