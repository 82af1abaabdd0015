"""Who sees which pictures, and pictures without their object: the data side of the déjà vu protocol."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.crops import Box, corner, periphery
from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.images import rgb, size
from torchmultiverse.progress import progress_bar
from torchmultiverse.scenes import BLANK
from torchmultiverse.store import ImageSet, Manifest, columns_of, manifest_hash

Mode = Literal["boxes", "corner", "rerender"]
MODES = ("boxes", "corner", "rerender")
SETS = ("A", "B", "shared", "public", "held out")
FORMAT = 1


@dataclass(frozen=True)
class Sets:
    """Rows of a dataset by who sees them; no row is in two sets.

    Attributes:
        rows: of each of `SETS`: A and B are seen by one model each and asked for; ``shared`` is seen by both;
            ``public`` is labelled and seen by none; ``held out`` is asked for and seen by none.
        label: column of the labels.
        data_sha256: of the dataset's manifest.
        seed: of the draw.
    """

    rows: Mapping[str, NDArray[np.int64]]
    label: str
    data_sha256: str
    seed: int

    def seen_by(self, model: Literal["A", "B"]) -> NDArray[np.int64]:
        """Return the rows that a model is trained on, in order."""
        return np.sort(np.concatenate([self.rows[model], self.rows["shared"]]))

    def exchanged(self) -> Sets:
        """Return the same with A and B exchanged, for the model that saw B."""
        rows = {**self.rows, "A": self.rows["B"], "B": self.rows["A"]}
        return Sets(rows, self.label, self.data_sha256, self.seed)

    def save(self, path: str | Path) -> None:
        """Write the sets as JSON."""
        from torchmultiverse.files import write_atomic

        rows = {name: self.rows[name].tolist() for name in SETS}
        data = {"format": FORMAT, "label": self.label, "data_sha256": self.data_sha256, "seed": self.seed, "rows": rows}
        write_atomic(Path(path), (json.dumps(data) + "\n").encode())

    @staticmethod
    def load(path: str | Path, pictures: ImageSet) -> Sets:
        """Read sets.

        Raises:
            DatasetError: no such file, or sets of another dataset.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            rows = {name: np.asarray(data["rows"][name], np.int64) for name in SETS}
            found = Sets(rows, str(data["label"]), str(data["data_sha256"]), int(data["seed"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{path} holds no sets that `data split` wrote: {error}") from None
        if found.data_sha256 != manifest_hash(pictures):
            raise DatasetError(f"{path} divides another dataset (manifest {found.data_sha256[:12]})")
        return found


def draw_sets(
    pictures: ImageSet,
    label: str,
    per_class: int,
    public: int | None = None,
    shared: int = 0,
    held_out: int = 0,
    seed: int = 0,
) -> Sets:
    """Divide a dataset, as many pictures of each class to each set.

    Args:
        pictures: the dataset.
        label: column with the classes.
        per_class: pictures of each class in A, and as many in B.
        public: of each class; all that are left by default.
        shared, held_out: of each class.
        seed: of the draw.

    Raises:
        DatasetError: no such column, or a class that has too few pictures.
    """
    columns = columns_of(pictures)
    if label not in columns:
        raise DatasetError(f"no column '{label}'.{nearest(label, columns)}")
    values = columns[label].astype(str)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SETS}
    for level in np.unique(values):
        mine = rng.permutation(np.flatnonzero(values == level))
        wanted = {"A": per_class, "B": per_class, "shared": shared, "held out": held_out}
        least = sum(wanted.values()) + (public or 1)
        if len(mine) < least:
            raise DatasetError(f"{label} '{level}' has {len(mine)} pictures, {least} are needed")
        at = 0
        for name, count in wanted.items():
            parts[name].append(mine[at : at + count])
            at += count
        parts["public"].append(mine[at:] if public is None else mine[at : at + public])
    rows = {name: np.sort(np.concatenate(held)) for name, held in parts.items()}
    return Sets(rows, label, manifest_hash(pictures), seed)


class Crops(ImageSet):
    """Pictures without their object, made when asked for; read like a dataset.

    Attributes:
        rows: of the dataset they were made of, (N,).
        boxes: what was cut out, (N,); ``None`` for a picture that was rendered anew.
    """

    has_bytes = True

    def __init__(self, pictures: ImageSet, rows: NDArray[np.int64], boxes: Sequence[Box | None], rendered: Any = None):
        self._pictures, self.rows, self.boxes, self._rendered = pictures, rows, list(boxes), rendered
        self._manifest = Manifest(name="crops", count=len(rows), of=manifest_hash(pictures))

    @property
    def manifest(self) -> Manifest:
        """Number of crops, and what they are of."""
        return self._manifest

    def __len__(self) -> int:
        return len(self.rows)

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Return the columns of the pictures that they were made of."""
        import pyarrow as pa

        return self._pictures.table(columns).take(pa.array(self.rows))

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        box = self.boxes[index]
        if box is None:
            picture: Image.Image = self._rendered[index]
            return picture
        return rgb(self._pictures.image(int(self.rows[index]))).crop(box)

    def image_bytes(self, index: int) -> bytes:
        """Return a name of the pixels in place of a file, by which features are kept."""
        image = self.image(index)
        return b"%d %d " % image.size + image.tobytes()


def without_object(
    pictures: ImageSet,
    rows: NDArray[np.int64],
    mode: Mode = "boxes",
    boxes: str | Path | None = None,
    share: float = 0.3,
    least: float = 0.2,
    engine: Any = None,
    quiet: bool = False,
) -> Crops:
    """Return parts of pictures, or pictures rendered anew, that do not show the object.

    Args:
        pictures: the dataset.
        rows: which of them.
        mode: ``boxes`` cuts the largest rectangle outside all objects; ``corner`` the lower left corner, which may
            show a bit of the object; ``rerender`` renders the same scene without it, which no photograph can be.
        boxes: where a dataset of photographs has its boxes: a CSV with ``filename,xmin,ymin,xmax,ymax``, a COCO JSON,
            or a folder of VOC XML files. Rendered datasets know their own.
        share: of width and height that a corner has.
        least: shorter side of a rectangle, as a share of the picture's shorter side; pictures without one are left out.
        engine: that renders; the built-in one by default.
        quiet: show no bar.

    Raises:
        DatasetError: no boxes, no scenes, or no picture with room beside its object.
    """
    if mode not in MODES:
        raise DatasetError(f"no mode '{mode}'.{nearest(mode, MODES)}")
    if mode == "rerender":
        return _rerendered(pictures, rows, engine, quiet)
    sizes = _sizes(pictures, rows)
    if mode == "corner":
        return Crops(pictures, rows, [corner(size, share) for size in sizes])
    known = _boxes_of(pictures, rows) if boxes is None else _boxes_in(Path(boxes), pictures, rows)
    found = [
        None if held is None else periphery(size, held, max(1, round(least * min(size))))
        for size, held in zip(sizes, known, strict=True)
    ]
    kept = [place for place, box in enumerate(found) if box is not None]
    if not kept:
        raise DatasetError(f"none of {len(rows)} pictures has room beside its object, or a box at all")
    return Crops(pictures, rows[kept], [found[place] for place in kept])


def _sizes(pictures: ImageSet, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    if pictures.has_bytes:
        return [size(pictures.image_bytes(row), f"row {row}") for row in rows.tolist()]
    return [pictures.image(int(row)).size for row in rows]


def _boxes_of(pictures: ImageSet, rows: NDArray[np.int64]) -> list[list[Box]]:
    """Return the boxes that a rendered dataset knows."""
    import pyarrow as pa

    if "annotations" not in pictures.table().column_names:
        raise DatasetError("the dataset knows no boxes; name a file of them, or take corners")
    found = []
    for text in pictures.table(["annotations"]).take(pa.array(rows))["annotations"].to_pylist():
        objects = json.loads(text or "{}").get("objects", [])
        found.append([Box(*(int(side) for side in one["box_2d"])) for one in objects if one.get("box_2d")])
    return found


def _boxes_in(path: Path, pictures: ImageSet, rows: NDArray[np.int64]) -> list[list[Box] | None]:
    """Return the boxes of a file, by file name; ``None`` for a picture that it does not name."""
    by_name = read_boxes(path)
    names = [str(name) for name in columns_of(pictures)["filename"][rows]]
    found = [by_name.get(name, by_name.get(Path(name).name, by_name.get(Path(name).stem))) for name in names]
    if all(held is None for held in found):
        raise DatasetError(f"{path} names none of the pictures, such as {names[0]}")
    return found


def read_boxes(path: Path) -> dict[str, list[Box]]:
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


def _rerendered(pictures: ImageSet, rows: NDArray[np.int64], engine: Any, quiet: bool) -> Crops:
    """Return the scenes of pictures, rendered without their characters."""
    import pyarrow as pa

    from torchmultiverse.connect import Multiverse
    from torchmultiverse.engines import Failure
    from torchmultiverse.scenes import Scene

    if "scene" not in pictures.table().column_names:
        raise DatasetError("the dataset has no scenes to render anew; take boxes or corners")
    texts = pictures.table(["scene"]).take(pa.array(rows))["scene"].to_pylist()
    size = _sizes(pictures, rows[:1])[0]
    scenes = []
    for text in texts:
        values = json.loads(text)
        kept = {name: value for name, value in values.items() if not name.startswith("Character")}
        scenes.append(Scene({**kept, "Character_Name": BLANK}))
    unique = list({scene.scene_id: scene for scene in scenes}.values())
    made: dict[str, Image.Image] = {}
    render = pictures.manifest.identity.get("spec", {}).get("render", {})
    multiverse = Multiverse(engine or "builtin", size=size, samples=render.get("samples"))
    with multiverse, progress_bar(quiet) as progress:
        bar = progress.add_task("rendering without the object", total=len(unique))
        for frame in multiverse.render_many(unique):
            if isinstance(frame, Failure):
                raise frame.error()
            made[frame.scene_id] = Image.fromarray(np.asarray(frame.image)).convert("RGB")
            progress.advance(bar)
    return Crops(pictures, rows, [None] * len(rows), [made[scene.scene_id] for scene in scenes])
