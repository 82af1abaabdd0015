"""Classes from an engine to a dataset. Silently wrong: a mask with numbers that nothing explains, two datasets put
together whose numbers mean different things, a batch in which a number above 255 has become another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, MarkerEngine, RenderOptions, class_list
from torchmultiverse.engines.marker import draw_marker
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import Scene, classes_of
from torchmultiverse.store import StoredDataset, open_dataset
from torchmultiverse.store.combine import merge
from torchmultiverse.stream import Dataset

OWN = [f"Thing{k:02}" for k in range(60)]


class Classed(Engine):
    """Test cards whose left half is of the character's class."""

    def __init__(self, names: Iterable[str] = ("Zebra", "Cofee_Mug_1", *OWN)) -> None:
        self.inner, self.names = MarkerEngine(), list(names)

    def catalogue(self) -> Catalogue:
        found = self.inner.catalogue()
        name = found.factors["Character_Name"].model_copy(update={"levels": self.names})
        return found.model_copy(
            update={
                "passes": [*found.passes, "class"],
                "classes": class_list(self.names),
                "factors": {**found.factors, "Character_Name": name},
            }
        )

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            card = draw_marker(scene.scene_id, *options.size)
            number = classes_of(self.names)[scene.get_str("Character_Name")].id
            array = np.zeros(options.size[::-1], np.uint16)
            array[:, : options.size[0] // 2] = number
            yield Frame(scene, arrays={"rgb": card, "class": array}, engine=self.inner.catalogue().fingerprint)

    def close(self) -> None:
        self.inner.close()


def opened(folder: Path, *names: str) -> list[StoredDataset]:
    return [open_dataset(folder / name) for name in names]


def spec(*names: str, passes: tuple[str, ...] = ("rgb", "class")) -> dict[str, object]:
    return {
        "name": "classed",
        "design": {"kind": "factorial", "factors": {"World_Name": ["Desert"], "Character_Name": list(names)}},
        "render": {"size": [32, 48], "passes": list(passes)},
    }


def test_a_dataset_says_what_its_numbers_mean(tmp_path: Path) -> None:
    generate(spec("Zebra", "Thing00", "Thing59"), tmp_path / "d", Classed, progress=False)
    stored = open_dataset(tmp_path / "d")
    assert len(stored) == 3
    found = {one.id: (one.name, one.kind, one.characters) for one in stored.manifest.classes}
    assert found == {
        70: ("Zebra", "animal", ["Zebra"]), 222: ("Thing00", "own", ["Thing00"]), 281: ("Thing59", "own", ["Thing59"]),
    }  # fmt: skip
    assert stored.manifest.classes[0].synset == "n02391049"
    card = (tmp_path / "d" / "README.md").read_text()
    assert "| 70 | `Zebra` | zebra | n02391049 | 340 | Zebra |" in card
    assert "| 281 | `Thing59` |" in card
    for index, name in enumerate(stored.table(["character_name"])["character_name"].to_pylist()):
        image = np.array(stored.image(index, "class"))
        number = classes_of(Classed().names)[name].id
        assert image.dtype == (np.uint8 if number < 256 else np.uint16)
        assert set(np.unique(image)) == {0, number}


def test_a_batch_has_numbers_of_one_type(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    generate(spec("Zebra", "Thing59", "Cofee_Mug_1"), tmp_path / "wide", Classed, progress=False)
    generate(spec("Zebra", "Cofee_Mug_1"), tmp_path / "narrow", Classed, progress=False)
    (batch,) = torch.utils.data.DataLoader(Dataset(tmp_path / "wide", columns=["class"]), 3)
    assert batch["class"].dtype == torch.int32
    assert batch["class"].amax((1, 2)).tolist() == [70, 281, 107]
    (batch,) = torch.utils.data.DataLoader(Dataset(tmp_path / "narrow", columns=["class"]), 2)
    assert batch["class"].dtype == torch.uint8
    assert batch["class"].amax((1, 2)).tolist() == [70, 107]


def test_datasets_whose_numbers_agree_are_put_together_and_others_are_not(tmp_path: Path) -> None:
    generate(spec("Zebra", "Thing00"), tmp_path / "a", Classed, progress=False)
    generate(spec("Cofee_Mug_1"), tmp_path / "b", Classed, progress=False)
    generate(spec("Lamp"), tmp_path / "c", lambda: Classed(["Lamp"]), progress=False)
    made = merge(opened(tmp_path, "a", "b"), tmp_path / "ab")
    assert [one.id for one in made.manifest.classes] == [70, 107, 222]
    with pytest.raises(DatasetError, match=r"class 222 is 'Thing00' in .* and 'Lamp' in "):
        merge(opened(tmp_path, "a", "c"), tmp_path / "ac")
    generate(spec("Thing00", passes=("rgb",)), tmp_path / "plain", Classed, progress=False)
    made = merge(opened(tmp_path, "plain", "c"), tmp_path / "pc", common=True)
    assert made.manifest.classes == []
