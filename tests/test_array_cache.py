"""Meshes that are kept between runs.

What could silently be wrong: another version's arrays are taken, half a file stops every later run, or the cache
grows with each version until the disk is full.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.array_cache import Arrays, cached_arrays
from torchmultiverse.engines.builtin.characters import load_character
from torchmultiverse.engines.builtin.objects import load_object
from torchmultiverse.engines.builtin.world_builder import load_world

DAY = 86_400


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path))
    return tmp_path


def key(number: int) -> str:
    return f"{number:024x}"


class Maker:
    """Makes an array of one number, and counts how often."""

    def __init__(self, value: float = 1) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> Arrays:
        self.times += 1
        return {"a": np.full(1000, self.value), "text": np.frombuffer(b"[]", np.uint8)}


def load(name: str, number: int, make: Maker) -> float:
    arrays = cached_arrays("x", name, key(number), make)
    assert arrays["text"].tobytes() == b"[]"
    return float(arrays["a"][0])


def test_what_is_kept_is_read_and_another_key_is_made(cache: Path) -> None:
    first, second = Maker(1), Maker(2)
    assert [load("Cat", 1, first), load("Cat", 1, first), load("Cat", 2, second), load("Cat", 1, first)] == [1, 1, 2, 1]
    assert (first.times, second.times) == (1, 1)
    assert len(list(cache.rglob("*.npz"))) == 2


@pytest.mark.parametrize("left", [0, 10, 3000, 8100])
def test_a_file_of_which_a_part_is_there_is_made_again(left: int, cache: Path) -> None:
    make = Maker()
    load("Cat", 1, make)
    (file,) = cache.rglob("*.npz")
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    assert load("Cat", 1, make) == 1
    assert make.times == 2
    assert file.read_bytes() == whole


@pytest.mark.parametrize("place", [0, 26, 60, 90, 5000, 8150, -150, -20])
def test_a_file_that_was_written_over_is_made_again(place: int, cache: Path) -> None:
    make = Maker()
    load("Cat", 1, make)
    (file,) = cache.rglob("*.npz")
    whole = file.read_bytes()
    broken = np.frombuffer(whole, np.uint8).copy()
    broken[place : None if place == -20 else place + 20] ^= 0xFF
    file.write_bytes(broken)
    assert load("Cat", 1, make) == 1
    assert make.times == 2
    assert file.read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "name"), [(load_world, "Desert"), (load_object, "Cofee_Mug_1"), (load_character, "Goldfish")]
)
def test_half_a_world_an_object_or_an_animal_is_built_again(
    load: Callable[[str], object], name: str, cache: Path
) -> None:
    load(name)
    (file,) = [one for one in cache.rglob("*.npz") if one.name.startswith(name)]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    load(name)
    assert file.read_bytes() == whole


def test_what_nothing_reads_is_removed(cache: Path) -> None:
    for number in range(6):
        load("Cat", number, Maker())
    load("Cat-south_asia", 1, Maker())
    folder = cache / "x"
    old = time.time() - 2 * DAY
    (folder / "Cat-mine.npz").touch()
    for file in folder.iterdir():
        os.utime(file, (old, old))
    load("Cat", 0, Maker())  # read: it is in use again
    load("Cat", 7, Maker())
    left = {file.name for file in folder.iterdir()}
    kept = [number for number in range(8) if f"Cat-{key(number)}.npz" in left]
    assert len(kept) == 3
    assert {0, 7} < set(kept)
    assert left - {f"Cat-{key(number)}.npz" for number in range(8)} == {f"Cat-south_asia-{key(1)}.npz", "Cat-mine.npz"}


def test_versions_in_use_on_one_day_are_all_kept(cache: Path) -> None:
    for number in range(6):
        load("Cat", number, Maker())
    assert len(list((cache / "x").iterdir())) == 6


@pytest.mark.parametrize("blocked", ["", "x"])
def test_without_a_cache_it_is_said_and_made_each_time(blocked: str, cache: Path, monkeypatch: pytest.MonkeyPatch,
                                                      caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    (cache / "home").mkdir()
    (cache / "home" / blocked if blocked else cache / "file").touch()
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(cache / ("home" if blocked else "file")))
    make = Maker()
    with caplog.at_level(logging.WARNING):
        assert load("Cat", 1, make) == load("Cat", 1, make) == 1
    assert make.times == 2
    assert caplog.text.count("the cache cannot be used") == 1


def test_an_interrupted_write_leaves_nothing(cache: Path) -> None:
    def broken() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_arrays("x", "Cat", key(1), broken)
    assert not list((cache / "x").iterdir())


FULL = """
import resource
import numpy as np
from torchmultiverse.array_cache import cached_arrays
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for name in ("Cat", "Dog"):
    print(cached_arrays("x", name, 24 * "0", lambda: {"a": np.ones(10_000)})["a"].sum())
"""


def test_a_disk_that_is_full_is_said_once_and_leaves_nothing(cache: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=250, check=False)
    assert done.stdout.split() == ["10000.0"] * 2, done.stderr
    assert done.stderr.count("not kept") == 1, done.stderr
    assert not list((cache / "x").iterdir())
