"""Pictures without their object: the part beside it, a corner, or the same scene rendered without it."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.crops import Box, corner, periphery
from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.images import rgb, size
from torchmultiverse.progress import progress_bar
from torchmultiverse.scenes import BLANK
from torchmultiverse.store import ImageSet, Manifest, columns_of, manifest_hash

RemovalMode = Literal["boxes", "corner", "rerender"]
MODES = ("boxes", "corner", "rerender")
CORNER = 0.3
"""Fraction of width and height that a corner has."""


@dataclass(frozen=True)
class ObjectRemoval:
    """How the object of a picture is removed.

    Attributes:
        mode: ``boxes`` cuts the largest rectangle outside all objects; ``corner`` the lower left corner, which may
            show a bit of the object; ``rerender`` renders the same scene without it, which no photograph can be.
        boxes: where a dataset of photographs has its boxes: a CSV with ``filename,xmin,ymin,xmax,ymax``, a COCO JSON,
            or a folder of VOC XML files. Rendered datasets know their own.
        min_side: shorter side of a rectangle, as a fraction of the image's shorter side; images without one are left
            out.
        engine: that renders; the built-in one by default.
    """

    mode: RemovalMode = "boxes"
    boxes: str | Path | None = None
    min_side: float = 0.2
    engine: Any = None


class ObjectFreeImages(ImageSet):
    """Pictures without their object, made when asked for; read like a dataset.

    Attributes:
        rows: of the dataset they were made of, (N,).
        boxes: what was cut out, (N,); ``None`` for a picture that was rendered anew.
    """

    has_bytes = True

    def __init__(self, images: ImageSet, rows: NDArray[np.int64], boxes: Sequence[Box | None], rendered: Any = None):
        self._images, self.rows, self.boxes, self._rendered = images, rows, list(boxes), rendered
        self._manifest = Manifest(name="crops", count=len(rows), of=manifest_hash(images))

    @property
    def manifest(self) -> Manifest:
        """Number of crops, and what they are of."""
        return self._manifest

    def __len__(self) -> int:
        return len(self.rows)

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Return the columns of the pictures that they were made of."""
        import pyarrow as pa

        return self._images.table(columns).take(pa.array(self.rows))

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        box = self.boxes[index]
        if box is None:
            image: Image.Image = self._rendered[index]
            return image
        return rgb(self._images.image(int(self.rows[index]))).crop(box)

    def image_bytes(self, index: int) -> bytes:
        """Return a name of the pixels in place of a file, by which features are kept."""
        image = self.image(index)
        return b"%d %d " % image.size + image.tobytes()


def remove_objects(
    images: ImageSet, rows: NDArray[np.int64], how: ObjectRemoval | None = None, quiet: bool = False
) -> ObjectFreeImages:
    """Return parts of pictures, or pictures rendered anew, that do not show the object.

    Args:
        images: the dataset.
        rows: which of them.
        how: the object is removed; by its box by default.
        quiet: show no bar.

    Raises:
        DatasetError: no boxes, no scenes, or no picture with room beside its object.
    """
    how = how or ObjectRemoval()
    if how.mode not in MODES:
        raise QuestionError(f"no mode '{how.mode}'.{nearest(how.mode, MODES)}")
    if how.mode == "rerender":
        return _rerendered(images, rows, how.engine, quiet)
    sizes = _sizes(images, rows)
    if how.mode == "corner":
        return ObjectFreeImages(images, rows, [corner(size, CORNER) for size in sizes])
    known = _boxes_of(images, rows) if how.boxes is None else _boxes_in(Path(how.boxes), images, rows)
    found = [
        None if boxes is None else periphery(size, boxes, max(1, round(how.min_side * min(size))))
        for size, boxes in zip(sizes, known, strict=True)
    ]
    kept = [place for place, box in enumerate(found) if box is not None]
    if not kept:
        raise DatasetError(f"none of {len(rows)} pictures has room beside its object, or a box at all")
    return ObjectFreeImages(images, rows[kept], [found[place] for place in kept])


def _sizes(images: ImageSet, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    if images.has_bytes:
        return [size(images.image_bytes(row), f"row {row}") for row in rows.tolist()]
    return [images.image(int(row)).size for row in rows]


def _boxes_of(images: ImageSet, rows: NDArray[np.int64]) -> list[list[Box]]:
    """Return the boxes that a rendered dataset knows."""
    import pyarrow as pa

    if "annotations" not in images.table().column_names:
        raise DatasetError("the dataset knows no boxes; name a file of them, or take corners")
    found = []
    for text in images.table(["annotations"]).take(pa.array(rows))["annotations"].to_pylist():
        objects = json.loads(text or "{}").get("objects", [])
        found.append([Box(*(int(side) for side in one["box_2d"])) for one in objects if one.get("box_2d")])
    return found


def _boxes_in(path: Path, images: ImageSet, rows: NDArray[np.int64]) -> list[list[Box] | None]:
    """Return the boxes of a file, by file name; ``None`` for a picture that it does not name."""
    by_name = load_boxes(path)
    names = [str(name) for name in columns_of(images)["filename"][rows]]
    found = [by_name.get(name, by_name.get(Path(name).name, by_name.get(Path(name).stem))) for name in names]
    if all(held is None for held in found):
        raise DatasetError(f"{path} names none of the pictures, such as {names[0]}")
    return found


def load_boxes(path: Path) -> dict[str, list[Box]]:
    """Read boxes: a CSV, a COCO JSON, or a folder of VOC XML files.

    Raises:
        DatasetError: nothing of these, or a line that is no box.
    """
    found: dict[str, list[Box]] = {}
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.xml")):
                root = ElementTree.parse(file).getroot()
                found[file.stem] = [
                    _box([box.findtext(name) for name in ("xmin", "ymin", "xmax", "ymax")])
                    for box in root.iter("bndbox")
                ]
        elif path.suffix == ".json":
            data = json.loads(path.read_text(encoding="utf-8"))
            names = {image["id"]: str(image["file_name"]) for image in data["images"]}
            found = {name: [] for name in names.values()}
            for one in data["annotations"]:
                x, y, wide, high = (float(value) for value in one["bbox"])
                found[names[one["image_id"]]].append(
                    Box(int(x), int(y), int(np.ceil(x + wide)), int(np.ceil(y + high)))
                )
        else:
            with path.open(newline="", encoding="utf-8") as table:
                for line in csv.DictReader(table):
                    box = _box([line[name] for name in ("xmin", "ymin", "xmax", "ymax")])
                    found.setdefault(line.get("filename") or line["path"], []).append(box)
    except (OSError, ValueError, KeyError, TypeError, ElementTree.ParseError) as error:
        raise DatasetError(f"{path} holds no boxes that can be read (CSV, COCO JSON, VOC XML): {error!r}") from None
    if not found:
        raise DatasetError(f"{path} holds no boxes")
    return found


def _box(sides: Sequence[str | None]) -> Box:
    left, top, right, bottom = (round(float(side or "nan")) for side in sides)
    return Box(left, top, right, bottom)


def _rerendered(images: ImageSet, rows: NDArray[np.int64], engine: Any, quiet: bool) -> ObjectFreeImages:
    """Return the scenes of pictures, rendered without their characters."""
    import pyarrow as pa

    from torchmultiverse.connect import Multiverse
    from torchmultiverse.engines import Failure
    from torchmultiverse.scenes import Scene

    if "scene" not in images.table().column_names:
        raise DatasetError("the dataset has no scenes to render anew; take boxes or corners")
    texts = images.table(["scene"]).take(pa.array(rows))["scene"].to_pylist()
    size = _sizes(images, rows[:1])[0]
    scenes = []
    for text in texts:
        values = json.loads(text)
        kept = {name: value for name, value in values.items() if not name.startswith("Character")}
        scenes.append(Scene({**kept, "Character_Name": BLANK}))
    unique = list({scene.scene_id: scene for scene in scenes}.values())
    made: dict[str, Image.Image] = {}
    render = images.manifest.identity.get("spec", {}).get("render", {})
    multiverse = Multiverse(engine or "builtin", size=size, samples=render.get("samples"))
    with multiverse, progress_bar(quiet) as progress:
        bar = progress.add_task("rendering without the object", total=len(unique))
        for frame in multiverse.render_many(unique):
            if isinstance(frame, Failure):
                raise frame.error()
            made[frame.scene_id] = Image.fromarray(np.asarray(frame.image)).convert("RGB")
            progress.advance(bar)
    return ObjectFreeImages(images, rows, [None] * len(rows), [made[scene.scene_id] for scene in scenes])
