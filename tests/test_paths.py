"""Names from data that lead out of the folder that is written.

What could be silently wrong: a dataset, a result or a manifest of somebody else's writes, moves or sends a file outside
the folder that was named, or two names become one file.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "evaluation"))

from planted import drawn_spar

from torchmultiverse.analyze.sweeps import component as of_sweep
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.farm.parts import join
from torchmultiverse.models import HistogramBaseline
from torchmultiverse.paths import MOST_BYTES, component, scene_name
from torchmultiverse.report import load_record, write_report
from torchmultiverse.store import ImageList, open_dataset, verify
from torchmultiverse.store.combine import merge
from torchmultiverse.store.exporting import export_folder, export_webdataset
from torchmultiverse.store.hub import files_to_push
from torchmultiverse.store.importing import import_dataset

EVIL = (
    "../../x", "..", ".", "", "/etc/x", "a/b", "a\\b", "C:x", "..\\..\\x", "a\0b", "nul", "CON.png", "x" * 5000,
    "é" * 200, ".hidden", "end. ", "line\nbreak", "\u202egnp.exe", "\ud800",
)  # fmt: skip


def picture(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def planted(root: Path, ids: list[str], **columns: list[Any]) -> Path:
    """Write a dataset as somebody else might: nothing in it was checked."""
    path = root / "in" / "deep" / "dataset"
    (path / "data").mkdir(parents=True)
    rows = [{"bytes": picture(40 * i), "path": f"../../{i}.png"} for i in range(len(ids))]
    image = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": image, "scene_id": ids, **columns}), path / "data" / "train-00000.parquet")
    return path


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if path.is_file()}


def test_a_component_is_one_and_different_texts_stay_different(tmp_path: Path) -> None:
    plain = ["Elephant", "0.5,-0.5", "blocks.3", "model@336", "a b", "Löwe", "日本", "0" * 32, "a_b", "layer-2"]
    assert [component(name) for name in plain] == plain
    for text in EVIL:
        name = component(text)
        assert component(name) == name
        assert (tmp_path / name).parent == tmp_path
        assert len(name.encode()) <= MOST_BYTES
        (tmp_path / name).write_bytes(b"")  # the file system takes it
    assert len({component(text) for text in [*EVIL, *plain]}) == len(EVIL) + len(plain)
    assert len(files(tmp_path)) == len(EVIL)
    assert of_sweep is component


@pytest.mark.parametrize("scene_id", [*EVIL, "0" * 31, "0" * 33, "A" * 32, "0" * 32 + "\n", None, 7])
def test_what_is_no_scene_id_is_refused(scene_id: Any) -> None:
    with pytest.raises(DatasetError, match="is no scene's"):
        scene_name(scene_id, "here")
    assert scene_name("0123456789abcdef" * 2, "here") == "0123456789abcdef" * 2


def _evaluate(dataset: Path, out: Path) -> None:
    images = [Image.new("RGB", (8, 8), (40 * i, 0, 0)) for i in range(4)]
    known = [{"world_name": w, "character_name": c, "caption": f"a {c} in {w}"}
             for w in ("Desert", "Snow") for c in ("Camel", "Zebra")]  # fmt: skip
    model = HistogramBaseline.fit(ImageList(images, known), name="../../../model")
    evaluate(dataset, model, out=out, embeddings=out / "embeddings", quiet=True)
    write_report(load_record(out)[0], out / "page")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "export": lambda dataset, out: export_folder(open_dataset(dataset), out),
    "webdataset": lambda dataset, out: export_webdataset(open_dataset(dataset), out),
    "import": lambda dataset, out: import_dataset(dataset, out),
    "merge": lambda dataset, out: merge([open_dataset(dataset), open_dataset(dataset)], out, keep_first=True),
    "evaluate": _evaluate,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("what", ["ids", "levels"])
def test_no_writer_leaves_its_folder(writer: str, what: str, tmp_path: Path) -> None:
    ids = ["../../../../x", "/tmp/x", "..", "a\0b"] if what == "ids" else [f"{i:032x}" for i in range(4)]
    worlds = ["../../../../w", "..", "Desert", "Desert"]
    levels = {"world_name": worlds, "character_name": ["../../c", "a/b", "a_b", "..\\..\\c"]}
    levels |= {"caption": [f"a {c} in {w}" for w, c in zip(*levels.values(), strict=True)]}
    levels |= {"split": ["train", "../../s", "..", "a/b"], "subset": ["..", "../..", "/", ""]}
    dataset = planted(tmp_path, ids, **levels)
    out = tmp_path / "out" / "deep" / "here"
    before = files(tmp_path)
    refused = False
    try:
        WRITERS[writer](dataset, out)
    except DatasetError:
        refused = True
    if writer in {"export", "evaluate"}:
        assert refused == (what == "ids"), "ids become names as they are, levels as components"
    assert refused or files(out)
    assert all(path.is_relative_to(out) for path in files(tmp_path) - before)
    if writer == "export" and what == "levels":
        pictures = {path.parent for path in files(out) if path.suffix == ".png"}
        assert len(pictures) == 4, "a/b and a_b are two classes"


def test_pictures_in_memory_may_have_any_id(tmp_path: Path) -> None:
    """Their galleries are written all the same, each picture under a name of its own."""
    drawn = drawn_spar(32)
    rows = [{**row, "scene_id": f"../../{i}/x"} for i, row in enumerate(drawn.table().to_pylist())]
    pictures = ImageList(list(drawn.iter_images()), rows)
    out = tmp_path / "a" / "b" / "c"
    result = evaluate(pictures, HistogramBaseline.fit(pictures), out=out, quiet=True)
    page = write_report(load_record(out)[0], out / "page").read_text()
    assert {path.stem for path in (out / "images").iterdir()} == set(result.images)
    assert result.images
    assert page.count("data:image/jpeg") >= len(result.images)
    assert all(path.is_relative_to(out) for path in files(tmp_path))


def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    dataset = planted(tmp_path, ["0" * 32], world_name=["Desert"])
    secret = tmp_path / "in" / "secret.parquet"
    secret.write_bytes(b"mine")
    entry = {"rows": 1, "bytes": 4, "sha256": "0" * 64}
    manifest = {"identity": {}, "complete": True, "shards": {"../../secret.parquet": entry}}
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    for use in (files_to_push, verify, lambda path: verify(path, drop_bad=True), lambda path: open_dataset(path).at()):
        with pytest.raises(DatasetError, match="names files that no dataset has"):
            use(dataset)
    part = dataset / "_parts" / "0-of-1"
    part.mkdir(parents=True)
    (part / "manifest.json").write_text(json.dumps(manifest))
    (dataset / "manifest.json").unlink()
    with pytest.raises(DatasetError, match="names files that no dataset has"):
        join(dataset)
    assert secret.read_bytes() == b"mine"
