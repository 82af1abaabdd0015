"""What could silently be wrong: another number of captions or pictures than the published design asks, another
sentence, a true caption that does not belong to its picture."""

from __future__ import annotations

import json

import numpy as np
import pytest
from planted import spar_rows

from torchmultiverse.errors import SpecError
from torchmultiverse.evaluation.registry import load_protocol, protocols
from torchmultiverse.evaluation.spar import SparProtocol
from torchmultiverse.evaluation.task import Task
from torchmultiverse.resources import data_folder


def _columns(rows: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}


def _spar() -> SparProtocol:
    protocol = load_protocol("spar")
    assert isinstance(protocol, SparProtocol)
    return protocol


def _asked(columns: dict[str, np.ndarray]) -> list[Task]:
    """What models are asked that read captions."""
    return [task for task in _spar().compile(columns) if "image-text" in task.kinds]


@pytest.fixture(scope="module")
def published() -> dict[tuple[str, str, str], Task]:
    """All tasks of the published design: 10 worlds × 33 × 33 × 4."""
    factors = json.loads((data_folder("scenes") / "spar.json").read_text())["design"]
    settings = [tuple(setting.values()) for setting in factors["linked"][0]]
    rows = spar_rows(factors["factors"]["World_Name"], factors["factors"]["Character_Name"][1:], settings)
    assert len(rows) == 43_560
    return {(task.name, task.setting, task.scope): task for task in _asked(_columns(rows))}


# Pictures over all worlds, captions without and with the world: the table of the published protocol, except that
# 'blank' is no animal here (32 and 320 instead of 33 and 330 captions for single animals).
@pytest.mark.parametrize(
    ("task", "setting", "pictures", "plain", "background"),
    [
        ("scene", "", 10, 10, None),
        ("single_animal", "Default", 1280, 32, 320),
        ("single_animal", "Blue", 640, 32, 320),
        ("single_animal", "Grass", 640, 32, 320),
        ("position", "left/right", 640, 64, 640),
        ("position", "bottom/top", 640, 64, 640),
        ("two_animals", "Default", 20480, 528, 5280),
        ("two_animals", "Blue", 10240, 528, 5280),
        ("two_animals", "Grass", 10240, 528, 5280),
        ("relation", "left/right", 9920, 992, 9920),
        ("relation", "bottom/top", 9920, 992, 9920),
        ("attribute", "Blue/Red", 9920, 992, 9920),
        ("attribute", "Grass/Stone", 9920, 992, 9920),
    ],
)
def test_counts_of_the_published_design(
    published: dict[tuple[str, str, str], Task],
    task: str,
    setting: str,
    pictures: int,
    plain: int,
    background: int | None,
) -> None:
    found = published[task, setting, "plain"]
    assert (len(found.rows), len(found.candidates)) == (pictures, plain)
    if background is None:
        assert (task, setting, "background") not in published
    else:
        found = published[task, setting, "background"]
        assert (len(found.rows), len(found.candidates)) == (pictures, background)
    per_world = np.unique(published[task, setting, "plain"].factors["world"][0].astype(str), return_counts=True)[1]
    assert set(per_world) == {pictures // 10}


def test_all_distinct_captions_of_the_published_design(published: dict[tuple[str, str, str], Task]) -> None:
    captions = {caption for task in published.values() for caption in task.candidates}
    # Counted for the published protocol, less its 11 captions of 'blank'.
    assert len(captions) == 51_237 - 11


def test_every_caption_is_true_of_its_picture_and_every_negative_is_false(
    published: dict[tuple[str, str, str], Task],
) -> None:
    for (name, setting, scope), task in published.items():
        worlds = task.factors["world"][0]
        for row in range(0, len(task.rows), 97):
            truth = task.candidates[task.labels[row]]
            if scope == "background":
                assert truth.endswith(f" in a {worlds[row]} environment")
            for animal in [a[row] for a in task.factors.get("animal", ())]:
                assert animal == "blank" or animal in truth
            if task.negatives is None:
                assert name not in {"position", "relation", "attribute"}
                continue
            negative = task.candidates[task.negatives[row]]
            assert negative != truth
            words = sorted(truth.split()), sorted(negative.split())
            if name == "position":
                assert set(words[0]) ^ set(words[1]) == set(setting.split("/"))
            else:
                assert words[0] == words[1], "a swap changes the order only"


def test_sentences_are_the_published_ones(published: dict[tuple[str, str, str], Task]) -> None:
    def has(caption: str, *key: str) -> bool:
        return caption in published[key].candidates  # type: ignore[index]

    assert has("This is a photo in a SaltFlats environment", "scene", "", "plain")
    assert has("This is a photo of a GiantTortoise", "single_animal", "Default", "plain")
    assert has("This is a photo of a Orca in a TokyoDay environment", "single_animal", "Blue", "background")
    assert has("This is a photo of a Orca on the top of the picture", "position", "bottom/top", "plain")
    assert has("This is a photo of a Camel and a Lion", "two_animals", "Grass", "plain")
    assert has("This is a photo of a Lion and a Lion", "two_animals", "Default", "plain")
    assert not has("This is a photo of a Lion and a Camel", "two_animals", "Default", "plain")
    assert has(
        "This is a photo of a Lion on the left and a Camel on the right of the picture in a Arena environment",
        "relation",
        "left/right",
        "background",
    )
    assert has(
        "This is a photo of a Lion textured with Grass and a Camel textured with Stone",
        "attribute",
        "Grass/Stone",
        "plain",
    )


def test_tasks_that_the_pictures_do_not_allow_are_left_out() -> None:
    one_world = spar_rows(worlds=["Desert"], animals=["Lion"], settings=[("left", "right", "Default", "Default")])
    found = {(task.name, task.scope) for task in _asked(_columns(one_world))}
    # One world and one animal: nothing to choose from, except the side.
    assert found == {("position", "plain"), ("position", "background")}


def test_protocols_are_found_and_checked(tmp_path) -> None:
    assert {"spar", "classification"} <= set(protocols())
    with pytest.raises(SpecError, match="Did you mean 'spar'"):
        load_protocol("sparr")
    path = tmp_path / "mine.json"
    path.write_text('{"kind": "spar", "name": "mine"}')
    with pytest.raises(SpecError, match="version: Field required"):
        load_protocol(path)
    with pytest.raises(SpecError, match="No such file"):
        load_protocol(tmp_path / "none.json")


def test_objects_are_answers_by_their_class() -> None:
    """A caption with the number of a variant could be answered by nobody."""
    settings = [("left", "right", "Default", "Default"), ("bottom", "top", "Default", "Default")]
    rows = spar_rows(["Snow", "Desert"], ["Cofee_Mug_1", "Cofee_Mug_2", "Zebra", "Cat"], settings)
    tasks = {(task.name, task.setting, task.scope): task for task in _asked(_columns(rows))}
    single = tasks["single_animal", "Default", "plain"]
    assert len(single.candidates) == 3
    assert sum("Cofee_Mug" in text for text in single.candidates) == 1
    assert not any("Cofee_Mug_" in text for task in tasks.values() for text in task.candidates)
