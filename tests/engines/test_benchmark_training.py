"""What the benchmarks on telling things apart train and render with.

What could silently be wrong: a network that is trained on the pictures it is tested on, or learns nothing; pictures
that several processes return in another order than one, so that labels belong to others.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.scenes import Scene

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


@pytest.mark.parametrize("varied", [False, True])
def test_a_network_learns_what_it_is_shown_and_nothing_else(varied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = _module("classifier", monkeypatch)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 320)
    images = rng.integers(0, 256, (320, 16, 16, 3), np.uint8)
    images[labels == 1, 4:12, 4:12] //= 4  # dark in the middle
    train = np.arange(320) < 256
    training = classifier.Training(epochs=6, varied=varied)
    answers = classifier.classify(images, labels, train, 2, training)
    assert answers.shape == (64,)
    assert (answers == labels[~train]).mean() > 0.8
    # Labels of pictures that are not trained on change nothing.
    other = np.where(train, labels, 1 - labels)
    assert (classifier.classify(images, other, train, 2, training) == answers).all()


def test_the_deeper_network_takes_small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = _module("classifier", monkeypatch)
    images = np.zeros((12, 16, 16, 3), np.uint8)
    images[::2] = 255
    train = np.arange(12) < 8
    training = classifier.Training(epochs=1, network="residual", varied=True)
    assert classifier.classify(images, np.arange(12) % 2, train, 2, training).shape == (4,)


@pytest.mark.slow
def test_several_processes_return_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    rendering = importlib.import_module("rendering")  # by this name the processes find it, too
    scenes = [
        Scene({"World_Name": "SaltFlats", "Character_Name": name, "Camera_Yaw": yaw})
        for name in ("Zebra", "Cat")
        for yaw in (0, 45, 90, 135, 180)
    ]
    options = RenderOptions(size=(32, 32), samples=2)
    with rendering.renderers(1) as alone, rendering.renderers(3) as several:
        expected = alone.pictures(scenes, options)
        assert len({picture.tobytes() for picture in expected}) == len(scenes)
        assert (several.pictures(scenes, options) == expected).all()
