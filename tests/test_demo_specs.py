"""A demo that trains on what it is scored on would print fine numbers that mean nothing."""

import numpy as np

from torchmultiverse.demo import TRAINING_IMAGES, benchmark_spec, training_spec


def test_the_training_set_holds_no_benchmark_scene_and_is_the_same_every_time() -> None:
    benchmark = {s.scene_id for s in benchmark_spec().build()}
    assert len(benchmark) == 2 * 5 * 5 * 3
    training = [s.scene_id for s in training_spec(np.random.default_rng(0)).build()]
    assert len(training) == len(set(training)) == TRAINING_IMAGES
    assert not benchmark & set(training)
    assert training == [s.scene_id for s in training_spec(np.random.default_rng(0)).build()]


def test_the_benchmark_is_what_spar_is() -> None:
    scenes = list(benchmark_spec().build())
    assert {(s["Character1_Pos"], s["Character2_Pos"]) for s in scenes} == {("left", "right"), ("bottom", "top")}
    assert {(s["Character_Texture"], s["Character2_Texture"]) for s in scenes} == {
        ("Default", "Default"),
        ("Blue", "Red"),
    }
    assert sum(s["Character_Name"] == "blank" and s["Character2_Name"] == "blank" for s in scenes) == 6
