"""The band of a score. What could silently be wrong: a choice that is listed and not applied."""

from __future__ import annotations

import pytest
from planted import drawn_spar

from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate import evaluate
from torchmultiverse.evaluate.sensitivity import sensitivity
from torchmultiverse.models.tiny import build, save, tiny_config

pytest.importorskip("timm")


def test_a_band_holds_every_choice_and_says_what_moves_the_score(tmp_path) -> None:
    pictures = drawn_spar(24, settings=(("left", "right", "Default", "Default"),))
    config = tiny_config(32)
    model = f"tiny:{save(tmp_path, build(config, 0)[0], 'tiny', config, {'seed': 0})}"
    with pytest.raises(ModelError, match="Did you mean 'resize'"):
        sensitivity(pictures, model, {"resise": ("own",)})
    with pytest.raises(ModelError, match="without options"):
        sensitivity(pictures, "timm:resnet18/random?norm=half")
    choices = {"interpolation": ("own", "nearest"), "norm": ("own", "none")}
    bands = sensitivity(pictures, model, choices, quiet=True)
    single = next(band for band in bands if band.title.startswith("Single animal"))
    assert single.low <= single.own <= single.high
    assert set(single.effects) == {"interpolation=nearest", "norm=none"}
    alone = evaluate(pictures, f"{model}?interpolation=nearest&norm=none", quiet=True)
    cell = alone.cells(task="single_animal", factor="all", scope="plain")[0]
    assert single.low <= cell["accuracy"] <= single.high
    assert single.interval > 0
    assert any(band.low < band.high for band in bands)
