"""A finding: a scene, its picture and what models said of it, as one file that opens anywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, ValidationError

from torchmultiverse.documents import Document, EncodedImage, Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.explore.readers import Reading
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import FACTORS, OWN, Scene, Value

MOST_BYTES = 16 * 2**20
"""Of a finding's file."""


class ModelFacts(Record):
    """Which model said it.

    Attributes:
        name: in the explorer.
        source: its model string.
        kind: image-text, classifier, scorer or encoder.
        weights_sha256: of its tensors, where it has some.
    """

    name: str
    source: str
    kind: str
    weights_sha256: str | None = None


class Finding(Document):
    """What was looked at.

    Attributes:
        scene: factors by wire name, those at their default left out.
        reference: the same of the scene that changes are measured from, or None.
        image: its picture, PNG.
        image_sha256: of the bytes of that file.
        size: width and height in pixels.
        samples: per pixel, None where the engine has none.
        seed: of the picture's noise.
        engine: fingerprint of the engine.
        models: who looked.
        readings: what each said.
        captions: that were asked for; none: the names of what there is.
        note: what a person wrote.
    """

    file: ClassVar[str] = "finding.json"
    scene: dict[str, Value]
    reference: dict[str, Value] | None = None
    image: EncodedImage
    image_sha256: str
    size: tuple[int, int]
    samples: int | None = None
    seed: int = 0
    engine: str
    models: list[ModelFacts]
    readings: list[Reading]
    captions: list[str] = Field(default_factory=list)
    note: str = ""

    def text(self) -> str:
        """Return it as the text of one file, the picture inside."""
        data = {"schema_version": self.version, **json.loads(self.model_dump_json())}
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_finding(text: str, place: str = "finding") -> Finding:
    """Return a finding from the text of its file.

    Raises:
        DatasetError: it is none, is too large, was changed by hand, or a newer version wrote it.
    """
    if len(text) > MOST_BYTES:
        raise DatasetError(f"{place}: {len(text):,} characters; a finding has at most {MOST_BYTES:,}")
    try:
        data: Any = read_json(text)
        version = data.pop("schema_version")
        if version != Finding.version:
            raise DatasetError(f"{place}: version {version!r}; this program reads {Finding.version}")
        found = Finding.model_validate(data)
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise DatasetError(f"{place}: no finding of the explorer ({why}); Share on its page makes one") from None
    if hashlib.sha256(found.image.data).hexdigest() != found.image_sha256:
        raise DatasetError(f"{place}: its picture is not the one whose SHA-256 it names")
    Scene(found.scene, where=place)
    return found


def load_finding(path: str | Path) -> Finding:
    """Read a finding's file.

    Raises:
        DatasetError: see `read_finding`; or the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        return read_finding(data.decode(), str(path))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; a finding is what Share on the explorer's page makes") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise DatasetError(f"{path}: {why}; a finding is a JSON file that Share on the explorer's page makes") from None


_AROUND = {"degrees": (-40, -20, 0, 20, 40)}


def neighbourhood(
    scene: Scene, name: str, size: tuple[int, int], *, samples: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Return a spec of the scenes around one: each number that it mentions a little up and down, one at a time, and the
    camera and the character turned.

    Args:
        scene: in the middle.
        name: of the dataset.
        size, samples, seed: of its pictures: those of the finding, so that its own scene is the very same picture.

    >>> spec = neighbourhood(Scene({"World_Name": "Snow", "Fog_Visibility": 40}), "near", (64, 64))
    >>> spec["design"]["vary"]["Fog_Visibility"]
    [20, 30, 40, 60, 80]
    """
    vary: dict[str, list[Value]] = {}
    for factor in FACTORS:
        value = scene[factor.wire] if factor.default is not None or factor.wire in scene.wire else None
        if factor.kind != "number" or factor.label or value is None or value == OWN:
            continue
        number = float(value)
        if factor.unit == "degrees" and (factor.wire in scene.wire or factor.wire.endswith("_Yaw")):
            vary[factor.wire] = [_whole((number + step) % 360) for step in _AROUND["degrees"]]
        elif factor.wire in scene.wire and number:
            steps = (number * ratio for ratio in (0.5, 0.75, 1, 1.5, 2))
            vary[factor.wire] = [_whole(step) for step in steps if factor.low <= step <= factor.high]
    if scene.get_str("Character2_Name") == "blank":
        vary = {wire: levels for wire, levels in vary.items() if not wire.startswith("Character2")}
    return {
        "name": name,
        "description": "around a finding of the explorer: one factor at a time",
        "design": {"kind": "one_at_a_time", "reference": dict(scene.wire), "vary": vary},
        "seed": seed,
        "render": {"size": list(size), "passes": ["rgb", "mask"], "samples": samples},
    }


def _whole(number: float) -> Value:
    number = round(number, 6)
    return int(number) if number.is_integer() else number
