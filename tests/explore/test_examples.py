"""Pictures of a dataset to go on from. What could silently be wrong: a picture that stands for another scene.

Test cards say which scene they are, also as thumbnails.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.engines import MarkerEngine, RenderOptions
from torchmultiverse.engines.marker import read_marker
from torchmultiverse.errors import DatasetError
from torchmultiverse.explore import Studio
from torchmultiverse.explore.examples import examples_of
from torchmultiverse.farm import generate
from torchmultiverse.scenes import Scene

SPEC = {
    "name": "cards", "render": {"size": [96, 96]},
    "design": {"kind": "factorial", "factors": {"World_Name": ["Desert"], "Character_Name": ["Zebra", "Camel"],
                                                "Camera_Yaw": {"from": 0, "to": 300, "step": 15}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards") / "d"
    generate(SPEC, folder, MarkerEngine, progress=False)
    return folder


def test_each_picture_stands_for_its_own_scene(dataset: Path) -> None:
    found = examples_of(dataset)
    assert len(found) == len({one.row for one in found}) == 24
    for one in found:
        card = np.asarray(Image.open(io.BytesIO(one.image.data)).convert("RGB"))
        assert read_marker(card) == Scene(one.factors).scene_id
    assert examples_of(dataset) == found
    zebras = examples_of(dataset, where="Character_Name = Zebra", rng=np.random.default_rng(1))
    assert {one.factors["Character_Name"] for one in zebras} == {"Zebra"}


def test_an_explorer_hands_them_to_its_page(dataset: Path) -> None:
    found = examples_of(dataset, count=3)
    told: list[object] = []
    studio = Studio(MarkerEngine, [], told.append, RenderOptions(size=(32, 32)), None, found)
    studio.open()
    studio.close()
    while (ready := studio.greet()) is None:
        pass
    assert ready.examples == found


def test_what_has_no_scenes_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no row passes"):
        examples_of(dataset, where="Camera_Yaw = 7")
    with pytest.raises(DatasetError, match="no such folder"):
        examples_of(tmp_path / "nothing")
