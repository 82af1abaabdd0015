"""A demo that trains on what it is scored on would print fine numbers that mean nothing; one whose pictures nobody
uses, or whose worlds take turns, would only be slow."""

import io
from itertools import groupby, pairwise

import numpy as np
from rich.console import Console

from torchmultiverse.demo import (
    ANIMALS,
    TRAINING_IMAGES,
    TRAINING_SIZE,
    WORLDS,
    announce,
    benchmark_spec,
    training_spec,
)
from torchmultiverse.scenes import BLANK, Scene
from torchmultiverse.train import ClipTraining


def training_scenes() -> list[Scene]:
    return list(training_spec(np.random.default_rng(0)).build())


def empty(scene: Scene) -> bool:
    return scene["Character_Name"] == scene["Character2_Name"] == BLANK


def test_the_training_set_holds_no_benchmark_scene_and_is_the_same_every_time() -> None:
    benchmark = {s.scene_id for s in benchmark_spec().build()}
    assert len(benchmark) == 2 * (5 * 5 - 1) * 3 + 2
    training = [s.scene_id for s in training_scenes()]
    assert len(training) == len(set(training)) == TRAINING_IMAGES
    assert not benchmark & set(training)
    assert training == [s.scene_id for s in training_scenes()]


def test_the_benchmark_is_what_spar_is() -> None:
    scenes = list(benchmark_spec().build())
    assert {(s["Character1_Pos"], s["Character2_Pos"]) for s in scenes} == {("left", "right"), ("bottom", "top")}
    assert {(s["Character_Texture"], s["Character2_Texture"]) for s in scenes} == {
        ("Default", "Default"),
        ("Blue", "Red"),
    }
    assert [s["World_Name"] for s in scenes if empty(s)] == list(WORLDS)  # one of each is asked about


def test_every_training_pair_stands_everywhere_and_the_pictures_are_as_large_as_the_model_reads() -> None:
    scenes = training_scenes()
    kinds = {(s["World_Name"], s["Character_Name"], s["Character2_Name"], s["Character1_Pos"], s["Character_Texture"])
             for s in scenes}  # fmt: skip
    assert len(kinds) == len(WORLDS) * (1 + len(ANIMALS)) ** 2 * 3
    assert training_spec(np.random.default_rng(0)).render.size == [TRAINING_SIZE] * 2
    assert ClipTraining().image_size == TRAINING_SIZE


def test_worlds_and_what_stands_in_them_come_one_after_the_other() -> None:
    scenes = training_scenes()
    assert [world for world, _ in groupby(s["World_Name"] for s in scenes)] == list(WORLDS)
    placed = [s.changed(Camera_Yaw=0) for s in scenes]
    built = 1 + sum(one != other for one, other in pairwise(placed))
    assert 2 * built == len(scenes)  # each is seen twice


def test_what_the_demo_says_is_a_line_across_a_terminal_and_words_in_a_file() -> None:
    written = io.StringIO()
    announce(Console(file=written, width=1_000_000), "2  render", 7)
    assert written.getvalue().strip() == "2  render  7 s"
    shown = io.StringIO()
    announce(Console(file=shown, width=60, force_terminal=True, color_system=None), "2  render", 7)
    assert "──" in shown.getvalue()
