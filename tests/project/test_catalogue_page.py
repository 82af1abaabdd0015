"""The catalogue's page. Silently wrong would be a page of an older catalogue: a world that is not on it, or gone."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from torchmultiverse.connect import engine_catalogue
from torchmultiverse.engines import LISTED, catalogue_rows
from torchmultiverse.scenes import class_of, class_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "catalogue.md"
CATALOGUE = engine_catalogue("builtin", assets=["procedural"])


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "benchmarks" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_names_everything_of_the_catalogue() -> None:
    first = {line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")}
    for what in LISTED:
        names = {row["factor" if what == "factors" else "name"] for row in catalogue_rows(CATALOGUE, what)}
        if what == "characters":  # objects are there by class
            names = {name for name in names if (one := class_of(name)) is None or one.kind == "animal"}
        assert names <= first, what


def test_the_page_is_what_the_script_writes(gallery: ModuleType) -> None:
    assert PAGE.read_text() == gallery.page(CATALOGUE), "python benchmarks/gallery.py --only page"


def test_the_page_of_regions_is_what_the_script_writes(gallery: ModuleType) -> None:
    page = PAGE.with_name("regions.md").read_text()
    assert page == gallery.regions_page(), "python benchmarks/gallery.py --only page"
    with Image.open(PAGE.parent / "gallery" / "regions.jpg") as image:
        assert image.width <= 2200
    levels = [factors.get("World_Region", "own") for _, factors in gallery.regions()]
    assert {levels.count(level) for level in set(levels)} == {2 * 3}, "each level twice in each of three worlds"


def test_every_level_has_a_picture(gallery: ModuleType) -> None:
    shown = {
        kind: {str(factors[factor]) for _, factors in gallery.SHEETS[sheet][0]()}
        for kind, sheet, factor in (
            ("worlds", "worlds", "World_Name"), ("characters", "animals", "Character_Name"),
            ("textures", "textures", "Character_Texture"),
        )
    }  # fmt: skip
    shown["lights"] = {name for name, _ in gallery.lights()}
    objects = {str(factors["Character_Name"]) for _, factors in gallery.objects()}
    classes = {row["name"] for row in catalogue_rows(CATALOGUE, "classes") if row["kind"] == "object"}
    assert sorted(name.rpartition("_")[0] for name in objects) == sorted(classes), "one of each class"
    shown["characters"] |= {row["name"] for row in catalogue_rows(CATALOGUE, "characters") if row["class"] in classes}
    for kind, names in shown.items():
        assert names == {row["name"] for row in catalogue_rows(CATALOGUE, kind)} - {"blank"}


def test_the_pictures_are_there_and_small() -> None:
    paths = [PAGE.parent / path for path in re.findall(r"\]\((gallery/\S+)\)", PAGE.read_text())]
    assert len(paths) == 5
    for path in paths:
        with Image.open(path) as image:
            assert image.width <= 2200, "wider than a page shows it"
    assert sum(path.stat().st_size for path in paths) < 2_300_000


def test_look_alikes_are_found(gallery: ModuleType) -> None:
    found = {(one, other): apart for one, other, apart in gallery.look_alikes(20)}
    assert found["Rock_1", "Stone"] < 2
    assert ("Blue", "Red") not in found
    assert ("Grass", "Sky") not in found


def test_every_class_of_objects_has_a_sheet_of_all_its_objects() -> None:
    """A class that is added or renamed without its sheet would leave a link to nothing in the documentation."""
    names = {one.name for one in class_table() if one.kind == "object"}
    sheets = {path.stem for path in (PAGE.parent / "gallery" / "objects").glob("*.jpg")}
    assert sheets == names, "python benchmarks/objects.py --out docs/gallery/objects --side 96 --jpeg"
    linked = set(re.findall(r"gallery/objects/([\w-]+)\.jpg", (PAGE.parent / "objects.md").read_text()))
    assert linked == names
