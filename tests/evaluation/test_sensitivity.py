"""The band of a score. What could silently be wrong: a choice that is listed and not applied."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.protocol_choices import sensitivity
from torchmultiverse.models import FAMILIES, Preprocess, as_model, register
from torchmultiverse.store import ImageList


class Bright:
    """Says "Day" where the normalised picture is above zero on average, else "Night"."""

    name = "bright"
    logit_scale = 1.0

    def encode_image(self, batch: np.ndarray) -> np.ndarray:
        mean = batch.mean((1, 2, 3))
        return np.stack([mean, -mean], 1)

    def encode_text(self, texts: list[str]) -> np.ndarray:
        return np.array([[1.0, -1.0] if "day" in text else [-1.0, 1.0] for text in texts])


@pytest.fixture
def bright() -> Iterator[str]:
    @register("bright", "bright:any")
    def load(rest: str):
        return as_model(Bright(), preprocess=Preprocess((8, 8), "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3))

    yield "bright:any"
    FAMILIES.pop("bright")


def test_a_band_holds_every_choice_and_says_what_moves_the_score(bright: str) -> None:
    light = {"Day": 200, "Night": 60}
    rows = [{"character_label": name, "character_name": f"{name}{k}"} for name in light for k in range(6)]
    pictures = ImageList([Image.new("RGB", (9, 9), (light[r["character_label"]],) * 3) for r in rows], rows)
    with pytest.raises(ModelError, match="Did you mean 'resize'"):
        sensitivity(pictures, bright, {"resise": ("own",)})
    with pytest.raises(ModelError, match="without options"):
        sensitivity(pictures, f"{bright}?norm=half")
    choices = {"interpolation": ("own", "nearest"), "norm": ("own", "none")}
    (band,) = sensitivity(pictures, bright, choices, quiet=True)
    # Not shifted by its own mean, every picture is above zero, and the night is never seen.
    assert (band.own, band.low, band.high) == (1, 0.5, 1)
    assert band.lowest["norm"] == "none"
    assert band.effects == pytest.approx({"interpolation=nearest": 0, "norm=none": -0.5})
    assert band.interval > 0
    alone = evaluate(pictures, f"{bright}?interpolation=nearest&norm=none", quiet=True)
    assert alone.cells(task="classification", factor="all")[0]["accuracy"] == 0.5
