"""Sets of photographs with true and false captions, as they lie on a disk: ARO and Winoground as datasets.

| layout | what is there |
|---|---|
| ``aro-relation`` | ``visual_genome_relation.json``, ``images/*.jpg`` |
| ``aro-attribution`` | ``visual_genome_attribution.json``, ``images/*.jpg`` |
| ``aro-order`` | ``coco_karpathy_test.json`` or ``flickr30k_test.json`` (or ``_val``), the photographs it names |
| ``winoground`` | ``examples.jsonl``, ``images/*.png`` |

Pictures of the first two are cut to the box of the pair, as in the source, and kept as PNG; others are copied as they
are. Word orders are drawn once, from a seed, and are columns of the dataset: they stay what they are.

Source: M. Yuksekgonul et al., *When and why vision-language models behave like bags-of-words*, ICLR 2023; T. Thrush et
al., *Winoground*, CVPR 2022.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from torchmultiverse.errors import DatasetError, nearest, shortened
from torchmultiverse.images import decode, rgb
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import normalised_caption, parts_of_speech, word_orders
from torchmultiverse.store.assemble import assemble
from torchmultiverse.store.card import write_card
from torchmultiverse.store.manifest import Terms
from torchmultiverse.store.reader import StoredDataset, open_dataset
from torchmultiverse.store.schema import IMAGE
from torchmultiverse.store.sources import find_images, image_file, split_of

CaptionLayout = Literal["aro-relation", "aro-attribution", "aro-order", "winoground"]
LAYOUTS: tuple[str, ...] = get_args(CaptionLayout)
MOST_BYTES = 1 << 30
"""Of the file that describes a set; ARO's largest has 15 MB."""
_FILES = {
    "aro-relation": ("visual_genome_relation.json",),
    "aro-attribution": ("visual_genome_attribution.json",),
    "aro-order": (
        "coco_karpathy_test.json", "flickr30k_test.json", "coco_karpathy_val.json", "flickr30k_val.json",
    ),
    "winoground": ("examples.jsonl",),
}  # fmt: skip
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")
_TAGS = ("tag", "secondary_tag", "collapsed_tag", "num_main_preds")
_TERMS = {
    "aro-relation": Terms(name="unknown", generative=True, source="ARO: photographs of Visual Genome (CC-BY-4.0)"),
    "aro-attribution": Terms(name="unknown", generative=True, source="ARO: photographs of Visual Genome (CC-BY-4.0)"),
    "aro-order": Terms(name="unknown", generative=False, source="photographs of Flickr, under their makers' terms"),
    "winoground": Terms(name="unknown", generative=False, source="Winoground: for research, see its own licence"),
}


@dataclass(frozen=True)
class _Item:
    """A row before its picture is read.

    Attributes:
        file: of the picture, relative to the folder.
        place: where the source says so, for errors.
        values: by column.
        box: what the picture is cut to: left, top, right, bottom in pixels.
    """

    file: str
    place: str
    values: Mapping[str, Any]
    box: tuple[int, int, int, int] | None = None


def import_captions(
    source: str | Path,
    out: str | Path,
    layout: str,
    *,
    seed: int = 0,
    licence: str | None = None,
    split: str | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> StoredDataset:
    """Import a set of photographs with true and false captions.

    Columns beside ``image``, ``scene_id``, ``split`` and ``benchmark`` (the set's name): ``caption``,
    ``negative_caption`` and, where the false caption is true of another picture, ``negative_scene_id``;
    ``relation_name`` or ``attribute_pair``; ``image_id`` (the photograph, of which rows are not independent); tags of
    Winoground; of word orders ``orders_caption``: a JSON text, for each caption of the picture a list of it and of its
    shuffles.

    Args:
        source: folder of the set, or the file in it that describes it.
        out: folder of the dataset; an interrupted import is continued.
        layout: of `LAYOUTS`.
        seed: of word orders.
        licence: of the pictures; by default unknown, with where they are from.
        split: of word orders: ``test`` or ``val``, where both are there; of others it is noted alone.
        tick: called with rows done and rows in all.

    Raises:
        DatasetError: no such layout or file, a field that is missing or of another kind, a picture that is missing or
            broken; names file, entry and field.
    """
    if layout not in LAYOUTS:
        raise DatasetError(f"layout = '{layout}': one of {', '.join(LAYOUTS)} is right.{nearest(layout, LAYOUTS)}")
    out, file = Path(out), _described(Path(source), layout, split)
    tagged: dict[str, Any] = {}
    if layout == "aro-order":
        tagger, name = parts_of_speech()
        tagged = {"seed": seed, "tagger": name}
        left: list[str] = []
        items = list(_orders(file, lambda caption, rng: word_orders(caption, rng, tagger), seed, left))
        if left:
            tagged["left_out"] = len(left)
    else:
        items = list(_READERS[layout](file))
    if not items:
        raise DatasetError(f"{file}: no entries")
    root = file.parent.resolve()
    files = find_images(root, [one.file for one in items], [{}] * len(items), lambda index: items[index].place)
    rows = _Rows(items, root, file.parent, files, _split(file, split))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    origin = {"imported": {"file": file.name, "sha256": digest, "layout": layout, "rows": len(items), **tagged}}
    terms = _TERMS[layout] if licence is None else _TERMS[layout].model_copy(update={"name": licence})
    count = len(items)
    assemble(
        out, rows.fields(), count, rows.row, {**origin, "family": "Custom"},
        {"name": out.name, "license": terms, "counts": {}, "lineage": [origin], "assets": []},
        tick=None if tick is None else lambda done: tick(done, count),
        check=rows.check, splits=[rows.split] * count,
    )  # fmt: skip
    made = open_dataset(out)
    write_card(out, made.manifest, made)
    return made


@dataclass(frozen=True)
class _Rows:
    """The rows of a dataset; pictures are read when their row is asked for."""

    items: Sequence[_Item]
    root: Path
    shown: Path
    files: Sequence[str]
    split: str

    def fields(self) -> dict[str, pa.DataType]:
        """Return the columns and their types."""
        names = dict.fromkeys(name for one in self.items for name in one.values)
        return {"image": IMAGE, "scene_id": pa.string(), **dict.fromkeys(names, pa.string()), "split": pa.string()}

    def row(self, index: int) -> dict[str, Any]:
        """Return a row by column."""
        item, file = self.items[index], self.files[index]
        data = image_file(self.root / file, self.shown / file)
        if item.box is not None:
            data = _cut(data, item.box, f"{item.place}, {self.shown / file}")
        image = {"bytes": data, "path": file}
        return {"image": image, "scene_id": _id(index, item), **item.values, "split": self.split}

    def check(self, index: int, made: Mapping[str, Any]) -> None:
        """Check that the picture of a row can be decoded."""
        decode(made["image"]["bytes"], str(self.shown / self.files[index]))


def _id(index: int, item: _Item) -> str:
    """Return the id of a row, which pairs know before there are rows: 32 hexadecimal digits."""
    known = item.values.get("scene_id")
    return str(known) if known else _digest(f"{item.file}#{index}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cut(data: bytes, box: tuple[int, int, int, int], what: str) -> bytes:
    """Return a picture cut to a box, as PNG; what lies outside the picture is black, as in the source."""
    picture = rgb(decode(data, what, upright=False), what)
    width, height = picture.size
    left, top, right, bottom = box
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise DatasetError(f"{what}: the box {box} lies outside the picture, which has {width} × {height} pixels")
    if right - left > 4 * width or bottom - top > 4 * height:
        raise DatasetError(f"{what}: the box {box} is far larger than the picture, which has {width} × {height} pixels")
    buffer = io.BytesIO()
    picture.crop(box).save(buffer, "PNG")
    return buffer.getvalue()


def _described(source: Path, layout: str, split: str | None) -> Path:
    """Return the file that describes a set.

    Raises:
        DatasetError: it is not there, or there are several.
    """
    wanted = _FILES[layout]
    if layout == "aro-order" and split is not None:
        _check_split(source, split)
        wanted = tuple(name for name in wanted if split_of(name) == split_of(split))
    if source.is_file():
        return source
    found = _found(source, wanted)
    if not found:
        there = "no such folder" if not source.is_dir() else f"none of {', '.join(wanted)} there"
        raise DatasetError(f"{source}: {there}; a set of the layout {layout} has such a file, or name it itself")
    first = [one for one in found if split_of(one.name) == split_of(found[0].name)]
    if len(first) > 1:
        raise DatasetError(f"{source}: {first[0].name} and {first[1].name} are both there: name one of the files")
    return found[0]


def _found(source: Path, names: Sequence[str]) -> list[Path]:
    folders = (source, source / "data", source / "annotations")
    return [folder / name for name in names for folder in folders if (folder / name).is_file()]


def _check_split(source: Path, split: str) -> None:
    """Check that word orders can be of a split: a file by its own name, a folder by the files in it.

    Raises:
        DatasetError: they cannot; names the splits that can be.
    """
    files = [source] if source.is_file() else _found(source, _FILES["aro-order"])
    named = {split_of(file.name): file.name for file in files}
    own = split_of(split) if split.isalpha() else None  # 'test2' is not 'test'
    if None in named or (own is not None and (own in named or not named)):
        return
    known = ["val" if name == "validation" else str(name) for name in named] or ["test", "val"]
    there = f" ({', '.join(named.values())})" if named else ""
    raise DatasetError(f"split = '{split}': {' or '.join(known)} is right{there}.{nearest(split, known)}")


def _split(file: Path, split: str | None) -> str:
    return split or split_of(file.name) or "test"


def _entries(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the entries of a JSON list, or of a file of one object for each line, and where each is.

    Raises:
        DatasetError: it is too large, cannot be read, or holds something else.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise DatasetError(f"{file} has {file.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
        text = file.read_text("utf-8-sig")
        if file.suffix == ".jsonl":
            numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
            listed = [(f"{file}:{n}", read_json(line)) for n, line in numbered]
        else:
            whole = read_json(text)
            if not isinstance(whole, list):
                raise ValueError("a list of objects is right")
            listed = [(f"{file}, entry {n}", entry) for n, entry in enumerate(whole)]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read: {error}") from None
    for place, entry in listed:
        if not isinstance(entry, Mapping):
            raise DatasetError(f"{place}: {shortened(entry)} is no object with fields")
        yield place, entry


def _field(place: str, entry: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field of an entry.

    Raises:
        DatasetError: it is missing, of another kind, or an empty text.
    """
    if name not in entry:
        raise DatasetError(f"{place}: no field '{name}'.{nearest(name, list(entry))}")
    value = entry[name]
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or isinstance(value, bool) or value == "":
        words = {str: "a text", int: "a whole number", list: "a list"}[kind]
        raise DatasetError(f"{place}: {name} = {shortened(value)}: {words} is right")
    return value


def _box(place: str, entry: Mapping[str, Any]) -> tuple[int, int, int, int]:
    x, y, width, height = (_field(place, entry, name, int) for name in _BOX)
    if width < 1 or height < 1:
        raise DatasetError(f"{place}: bbox_w = {width}, bbox_h = {height}: at least 1 pixel is right")
    return x, y, x + width, y + height


def _cropped(file: Path, benchmark: str, label: Callable[[str, Mapping[str, Any]], dict[str, str]]) -> Iterator[_Item]:
    for place, entry in _entries(file):
        name = _field(place, entry, "image_path", str)
        true, false = (_field(place, entry, f"{which}_caption", str) for which in ("true", "false"))
        values = {"benchmark": benchmark, "caption": true, "negative_caption": false, **label(place, entry)}
        yield _Item(name, place, {**values, "image_id": name}, _box(place, entry))


def _relations(file: Path) -> Iterator[_Item]:
    return _cropped(
        file, "VG-Relation", lambda place, entry: {"relation_name": _field(place, entry, "relation_name", str)}
    )


def _attributions(file: Path) -> Iterator[_Item]:
    def label(place: str, entry: Mapping[str, Any]) -> dict[str, str]:
        both = _field(place, entry, "attributes", list)
        if len(both) != 2 or not all(isinstance(one, str) and one for one in both):
            raise DatasetError(f"{place}: attributes = {shortened(both)}: two texts are right")
        return {"attribute_pair": "_".join(both)}

    return _cropped(file, "VG-Attribution", label)


def _orders(
    file: Path, shuffle: Callable[[str, np.random.Generator], list[str]], seed: int, left: list[str]
) -> Iterator[_Item]:
    """Yield rows; captions that have no other order are left out, and added to ``left``."""
    benchmark = {"coco": "COCO-Order", "flic": "Flickr30k-Order"}.get(file.name[:4].lower(), f"{file.stem}-Order")
    for number, (place, entry) in enumerate(_entries(file)):
        name = _field(place, entry, "image", str)
        captions = _field(place, entry, "caption", list)
        if not captions or not all(isinstance(one, str) and one.strip() for one in captions):
            raise DatasetError(f"{place}: caption = {shortened(captions)}: a list of texts is right")
        orders = []
        for k, caption in enumerate(captions):
            others = shuffle(caption, np.random.default_rng((seed, number, k)))
            if others:  # a caption of one word has no other order
                orders.append([normalised_caption(caption), *others])
            else:
                left.append(caption)
        if orders:
            values = {"benchmark": benchmark, "caption": normalised_caption(captions[0])}
            yield _Item(name, place, {**values, "orders_caption": json.dumps(orders), "image_id": name})


def _winoground(file: Path) -> Iterator[_Item]:
    seen: dict[int, str] = {}
    for place, entry in _entries(file):
        number = _field(place, entry, "id", int)
        if number in seen:  # the four pictures of both would be each other's pairs
            raise DatasetError(f"{place}: id = {number} is that of {seen[number]} too; each once is right")
        seen[number] = place
        names = [_field(place, entry, f"image_{k}", str) for k in (0, 1)]
        captions = [_field(place, entry, f"caption_{k}", str) for k in (0, 1)]
        tags = {name: str(entry[name]) for name in _TAGS if entry.get(name) not in (None, "")}
        ids = [_digest(f"winoground {number} {k}") for k in (0, 1)]
        for k in (0, 1):
            file_name = names[k] if Path(names[k]).suffix else f"{names[k]}.png"
            yield _Item(file_name, place, {
                "benchmark": "Winoground", "scene_id": ids[k], "caption": captions[k],
                "negative_caption": captions[1 - k], "negative_scene_id": ids[1 - k], "group": str(number),
                **{f"winoground_{name}": value for name, value in tags.items()},
            })  # fmt: skip


_READERS: dict[str, Callable[[Path], Iterator[_Item]]] = {
    "aro-relation": _relations, "aro-attribution": _attributions, "winoground": _winoground,
}  # fmt: skip
