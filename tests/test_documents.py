"""Documents are saved and read again.

Silently wrong would be an old record that loads with values in the wrong place, an image that a record takes from
somewhere else on the disk, and a number that changes on its way.
"""

import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typing_extensions import override

from torchmultiverse.documents import Document, EncodedImage, Record
from torchmultiverse.errors import DatasetError


class _Row(Record):
    name: str
    value: float
    image: EncodedImage | None = None


class _Table(Document):
    file = "table.json"
    version = 3
    title: str
    rows: tuple[_Row, ...] = ()

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        if version < 1:
            data = {"title": data["name"], **{k: v for k, v in data.items() if k != "name"}}
        if version < 3:
            data = {**data, "rows": [{"name": n, "value": v} for n, v in data.get("rows", [])]}
        return data


def _png(color: int) -> EncodedImage:
    buffer = BytesIO()
    Image.new("L", (2, 2), color).save(buffer, "PNG")
    return EncodedImage(data=buffer.getvalue())


def test_what_was_saved_is_read_again_with_images_in_files(tmp_path: Path) -> None:
    table = _Table(title="a", rows=(_Row(name="x", value=0.1 + 0.2, image=_png(3)), _Row(name="y", value=math.inf)))
    path = table.save(tmp_path / "new")
    assert _Table.load(tmp_path / "new") == table == _Table.load(path)
    text = path.read_text()
    assert json.loads(text)["schema_version"] == 3
    assert "base64" not in text
    assert len(list((tmp_path / "new" / "images").iterdir())) == 1


def test_not_a_number_comes_back(tmp_path: Path) -> None:
    _Table(title="a", rows=(_Row(name="x", value=math.nan),)).save(tmp_path)
    assert math.isnan(_Table.load(tmp_path).rows[0].value)


@pytest.mark.parametrize(
    "old",
    [
        {"name": "a", "rows": [["x", 1.5]]},
        {"schema_version": 1, "title": "a", "rows": [["x", 1.5]]},
        {"schema_version": 3, "title": "a", "rows": [{"name": "x", "value": 1.5}]},
    ],
)
def test_older_versions_are_migrated(old: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(json.dumps(old))
    assert _Table.load(tmp_path) == _Table(title="a", rows=(_Row(name="x", value=1.5),))


def test_an_image_of_a_record_from_before_versions_was_a_data_uri(tmp_path: Path) -> None:
    assert EncodedImage.model_validate(_png(9).data_uri) == _png(9)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3", "no JSON object"),
        ("[]", "no _Table of version 0"),
        ("{", "no JSON"),
        ('{"schema_version": 4, "title": "a"}', "schema version 4.*reads up to 3"),
        ('{"schema_version": "x", "title": "a"}', "schema version 'x'"),
        ('{"schema_version": -1, "title": "a"}', "schema version -1; 0 to 3 are right"),
        pytest.param("[" * 100_000, "no JSON: more than 200 brackets", id="brackets within brackets"),
        ('{"schema_version": 3, "title": "a", "rows": [{"name": "x"}]}', r"rows\.0\.value: Field required"),
        ('{"schema_version": 3, "title": "a", "other": 1}', "other"),
        ('{"rows": []}', "no _Table of version 0"),
        (
            '{"schema_version": 3, "title": "a", "rows": '
            '[{"name": "x", "value": 1, "image": {"file": "../secret.png"}}]}',
            "no image of a document",
        ),
        (
            '{"schema_version": 3, "title": "a", "rows": '
            '[{"name": "x", "value": 1, "image": {"file": "images/0123456789abcdef.png"}}]}',
            "cannot be read",
        ),
    ],
)
def test_what_is_no_such_record_is_refused_by_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(DatasetError, match=said):
        _Table.load(tmp_path)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no table\.json$"):
        _Table.load(tmp_path)
    with pytest.raises(DatasetError, match=r"^there is no \S+/sets\.json$"):
        _Table.load(tmp_path / "sets.json")
