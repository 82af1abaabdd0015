"""What an import takes from its source, and what an interruption leaves.

What could silently be wrong: test rows under ``train``, numbers of classes in place of their names, a value of the
second of two columns of one name, the old picture after it was mended, a file from outside the folder.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.store import open_dataset, verify
from torchmultiverse.store.combine import merge
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store.schema import IMAGE
from torchmultiverse.store.sources import split_of

YAWS = [0, 45, 90, 135]
LEVELS = {"world_name": "Desert", "character_name": "Elephant", "character_scale": 1.0, "character_texture": "Default"}


def png(shade: int, side: int = 8) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def archive(folder: Path, names: list[str] | None = None, **more: list[Any]) -> Path:
    """Pictures and their CSV file, one row for each yaw."""
    names = names or [f"p{i}.png" for i in range(len(YAWS))]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "a.csv", "w", newline="", encoding="utf-8") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow([*LEVELS, "camera_yaw", "filename", *more])
        for i, (yaw, name) in enumerate(zip(YAWS, names, strict=True)):
            sheet.writerow([*LEVELS.values(), yaw, name, *(column[i] for column in more.values())])
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png(i))
    return folder


def mirror(file: Path, yaws: list[int] = YAWS, metadata: dict[str, Any] | None = None, **columns: Any) -> None:
    """Rows in a Parquet file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Any] = {"image": pa.array([{"bytes": png(yaw), "path": None} for yaw in yaws], IMAGE)}
    rows |= {name: [level] * len(yaws) for name, level in LEVELS.items()}
    table = pa.table({**rows, "camera_yaw": yaws, **columns})
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": metadata}})})
    pq.write_table(table, file)


def column(dataset: Path, name: str) -> list[Any]:
    values: list[Any] = open_dataset(dataset).table([name])[name].to_pylist()
    return values


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00002.parquet", "train"), ("data/test-00000-of-00001.parquet", "test"),
        ("data/validation-00000-of-00001.parquet", "validation"), ("val.parquet", "validation"),
        ("test/a.parquet", "test"), ("data/unseen-00000-of-00001.parquet", "unseen"), ("labels_test.csv", "test"),
        ("Dev 3.parquet", "validation"), ("eval/train_0.parquet", "train"),
        ("a.parquet", None), ("latest.parquet", None), ("labels_pug_animal.csv", None), ("contest/devil.parquet", None),
        ("0000.parquet", None),
    ],
)  # fmt: skip
def test_splits_are_told_by_names(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_splits_of_files_become_splits_of_rows(tmp_path: Path) -> None:
    mirror(tmp_path / "m/data/test-00000-of-00001.parquet", [0, 45])
    mirror(tmp_path / "m/data/train-00000-of-00001.parquet", [90, 135])
    import_dataset(tmp_path / "m", tmp_path / "out")
    of_yaw = dict(zip(column(tmp_path / "out", "camera_yaw"), column(tmp_path / "out", "split"), strict=True))
    assert of_yaw == {0: "test", 45: "test", 90: "train", 135: "train"}
    import_dataset(tmp_path / "m", tmp_path / "said", split="validation")
    assert set(column(tmp_path / "said", "split")) == {"validation"}
    archive(tmp_path / "csv", ["train/p0.png", "train/p1.png", "test/p2.png", "test/p3.png"])
    import_dataset(tmp_path / "csv", tmp_path / "csv-out")
    assert column(tmp_path / "csv-out", "split") == ["train", "train", "test", "test"]


def test_a_rows_own_split_is_its_split(tmp_path: Path) -> None:
    mirror(tmp_path / "m/test.parquet", split=["train", "test", None, "unseen"])
    import_dataset(tmp_path / "m", tmp_path / "out")
    assert column(tmp_path / "out", "split") == ["train", "test", "test", "unseen"]


def test_numbers_of_classes_become_their_names(tmp_path: Path) -> None:
    labels = {"_type": "ClassLabel", "names": ["Zebra", "Elephant"]}
    features = {"character_name": labels, "mood": {"_type": "ClassLabel", "names": ["calm", "wild"]}}
    mirror(tmp_path / "m/a.parquet", metadata=features, character_name=[1, 0, 1, 1], mood=[0, -1, None, 1])
    import_dataset(tmp_path / "m", tmp_path / "out")
    assert column(tmp_path / "out", "character_name") == ["Elephant", "Zebra", "Elephant", "Elephant"]
    assert column(tmp_path / "out", "mood") == ["calm", None, None, "wild"]
    mirror(tmp_path / "m/a.parquet", metadata=features, character_name=[1, 0, 2, 1])
    with pytest.raises(DatasetError, match=r"a\.parquet, row 2: character_name = 2: there are 2 classes"):
        import_dataset(tmp_path / "m", tmp_path / "out2")


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "csv")
    text = (tmp_path / "csv/a.csv").read_text()
    (tmp_path / "csv/a.csv").write_text(text.replace("filename", "filename,camera_yaw").replace(".png", ".png,7"))
    with pytest.raises(DatasetError, match=r"a\.csv: the column 'camera_yaw' stands twice"):
        import_dataset(tmp_path / "csv", tmp_path / "out")
    table = pa.table([[1], [2]], names=["camera_yaw", "camera_yaw"])
    (tmp_path / "m").mkdir()
    pq.write_table(table, tmp_path / "m/a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet has the column 'camera_yaw' twice"):
        open_dataset(tmp_path / "m")
    mirror(tmp_path / "n/a.parquet", **{"my.note": ["a"] * 4, "my note": ["b"] * 4})
    with pytest.raises(DatasetError, match=r"'my\.note' and 'my note' would both be 'my_note'"):
        import_dataset(tmp_path / "n", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    # What lacks became defaults, what was too much went, and the lines in errors were counted without the blank ones.
    sheet = archive(tmp_path / "csv") / "a.csv"
    lines = sheet.read_text().splitlines()
    for broken in (lines[3].rpartition(",")[0], lines[3] + ",more"):
        sheet.write_text("\n".join([*lines[:3], "", broken, lines[4]]))
        with pytest.raises(DatasetError, match=r"a\.csv:5: \d values, there are 6 columns"):
            import_dataset(tmp_path / "csv", tmp_path / "out")


def test_types_that_differ_between_files_are_brought_together(tmp_path: Path) -> None:
    mirror(tmp_path / "m/a.parquet", [0, 45], note=pa.array(["x", "y"], pa.string()))
    mirror(tmp_path / "m/b.parquet", [90, 135], camera_yaw=[90.0, 135.5], note=pa.nulls(2))
    opened = open_dataset(tmp_path / "m")
    assert opened.schema.field("camera_yaw").type == pa.float64()
    assert column(tmp_path / "m", "camera_yaw") == [0.0, 45.0, 90.0, 135.5]
    assert [opened.row(i, ["camera_yaw"])["camera_yaw"] for i in range(4)] == [0.0, 45.0, 90.0, 135.5]
    assert isinstance(opened.row(0, ["camera_yaw"])["camera_yaw"], float)
    assert len(opened.where("camera_yaw >= 90")) == 2
    import_dataset(tmp_path / "m", tmp_path / "out")
    assert column(tmp_path / "out", "note") == ["x", "y", None, None]
    mirror(tmp_path / "m/c.parquet", [180], camera_yaw=["180"], note=["z"])
    with pytest.raises(DatasetError, match=r"c\.parquet: the column 'camera_yaw' is string, in a\.parquet .* double"):
        open_dataset(tmp_path / "m")


def test_what_macos_leaves_is_not_the_sources(tmp_path: Path) -> None:
    folder = archive(tmp_path / "csv")
    (folder / "._a.csv").write_bytes(b"\0\5\x16\7" + bytes(40))
    for i in range(4):
        for file in (folder / f"__MACOSX/p{i}.png", folder / f"sub/._p{i}.png"):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"\0\5\x16\7" + bytes(40))
    assert len(import_dataset(folder, tmp_path / "out")) == 4
    mirror(tmp_path / "m/a.parquet")
    (tmp_path / "m/._a.parquet").write_bytes(bytes(40))
    assert len(import_dataset(tmp_path / "m", tmp_path / "out2")) == 4


def test_names_in_decomposed_characters_are_found(tmp_path: Path) -> None:
    names = [f"Élan/é{i}.png" for i in range(4)]
    folder = archive(tmp_path / "csv", [unicodedata.normalize("NFD", name) for name in names])
    sheet = (folder / "a.csv").read_text()
    assert unicodedata.normalize("NFC", sheet) != sheet
    (folder / "a.csv").write_text(unicodedata.normalize("NFC", sheet))
    made = import_dataset(folder, tmp_path / "out")
    assert [made.image_bytes(i) for i in range(4)] == [png(i) for i in range(4)]
    assert [made.row(i, ["image"])["image"]["path"] for i in range(4)] == names


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = archive(tmp_path / "csv")
    (tmp_path / "secret.png").write_bytes(png(9))
    (folder / "p2.png").unlink()
    (folder / "p2.png").symlink_to("../secret.png")
    with pytest.raises(DatasetError, match=r"a\.csv:4: 'p2\.png': a link that leads out of the folder, to .*secret"):
        import_dataset(folder, tmp_path / "out")
    (folder / "p2.png").unlink()
    (folder / "p2.png").symlink_to("p1.png")
    assert import_dataset(folder, tmp_path / "out").image_bytes(2) == png(1)


def test_a_broken_picture_is_named_and_picked_up_when_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmultiverse.store.assemble.SHARD_ROWS", 2)
    folder = archive(tmp_path / "csv")
    import_dataset(folder, tmp_path / "calm")
    (folder / "p2.png").write_bytes(png(2)[:100])
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"csv/p2\.png is no picture that can be read"):
            import_dataset(folder, tmp_path / "out")
        assert not json.loads((tmp_path / "out/manifest.json").read_text())["complete"]
        assert not (tmp_path / "out/README.md").exists()
    (folder / "p2.png").write_bytes(png(2))
    import_dataset(folder, tmp_path / "out")
    assert content(tmp_path / "out") == content(tmp_path / "calm", as_name="out")


def test_a_broken_picture_in_parquet_is_named_by_its_file(tmp_path: Path) -> None:
    mirror(tmp_path / "m/a.parquet", [0, 45])
    pictures = pa.array([{"bytes": b, "path": None} for b in (png(0), png(1)[:50])], IMAGE)
    mirror(tmp_path / "m/b.parquet", [90, 135], image=pictures)
    with pytest.raises(DatasetError, match=r"b\.parquet, row 1 is no picture that can be read"):
        import_dataset(tmp_path / "m", tmp_path / "out")
    mirror(tmp_path / "m/b.parquet", [90, 135])
    assert len(import_dataset(tmp_path / "m", tmp_path / "out")) == 4


def test_a_swapped_picture_is_picked_up_and_nothing_else_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmultiverse.store.assemble.SHARD_ROWS", 2)
    folder = archive(tmp_path / "csv")
    import_dataset(folder, tmp_path / "out")
    first = (tmp_path / "out/data/train-00000.parquet").stat().st_mtime_ns
    stamp = (folder / "p3.png").stat()
    (folder / "p3.png").write_bytes(png(7))
    os.utime(folder / "p3.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    made = import_dataset(folder, tmp_path / "out")
    assert made.image_bytes(3) == png(7)
    assert not verify(tmp_path / "out").problems
    assert (tmp_path / "out/data/train-00000.parquet").stat().st_mtime_ns == first
    # Other rows are another dataset, which is not written over.
    archive(folder, more=["a"] * 4)
    with pytest.raises(DatasetError, match="holds something else"):
        import_dataset(folder, tmp_path / "out")
    # What is asked for is part of what was made: rows of two splits in one dataset came of a repeated command.
    import_dataset(tmp_path / "csv", tmp_path / "split")
    import_dataset(tmp_path / "csv", tmp_path / "split", split="test")
    assert set(column(tmp_path / "split", "split")) == {"test"}


def test_a_file_that_the_manifest_does_not_name_is_not_read(tmp_path: Path) -> None:
    import_dataset(archive(tmp_path / "csv"), tmp_path / "out")
    shutil.copy(tmp_path / "out/data/train-00000.parquet", tmp_path / "out/data/train-00001.parquet")
    assert len(open_dataset(tmp_path / "out")) == 4
    (tmp_path / "out/data/train-00000.parquet").unlink()
    with pytest.raises(DatasetError, match=r"train-00000\.parquet is missing, which manifest\.json names"):
        open_dataset(tmp_path / "out")


def content(folder: Path, as_name: str | None = None) -> dict[str, bytes]:
    """Every file of a dataset, hidden ones too; what says the folder's name says another."""
    files = {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
    if as_name is not None:
        for name in ("manifest.json", "README.md", "croissant.json"):
            files[name] = files[name].replace(folder.name.encode(), as_name.encode())
    return files


# Every step in which a file under OUT is opened, renamed, made or removed is a place to be killed at. The modules are
# loaded once; each try is a fork.
_KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import torchmultiverse.store.assemble as assemble
from torchmultiverse.store.combine import merge
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store import open_dataset

what, folder, stride, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
assemble.SHARD_ROWS = 2
out = folder / "out"

def make():
    if what == "import":
        import_dataset(folder / "csv", out)
    else:
        merge([open_dataset(folder / "one"), open_dataset(folder / "two")], out)

def child(kill_at):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    steps = 0
    def hook(event, args):
        nonlocal steps
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.truncate") and str(args[0]).startswith(str(out)):
            steps += 1
            if steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    code = 1
    try:
        make()
        code = 0
    except Exception as error:
        print("refused:", error, flush=True)
    finally:
        os._exit(code)

def files():
    return {str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()}

assert child(0) == 0
calm = files()
killed_at = 0
while killed_at < last:
    killed_at += stride
    shutil.rmtree(out)
    if child(killed_at) != signal.SIGKILL:
        break
    assert child(0) == 0, f"refused after a kill at step {killed_at}"
    now = files()
    assert now == calm, f"step {killed_at}: {sorted(now.keys() ^ calm.keys()) or 'bytes differ'}"
print("steps", killed_at)
"""


# In the first rows, where what was left was refused; all along in the slow ones.
@pytest.mark.parametrize(("stride", "last"), [(6, 12), pytest.param(1, 1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", ["import", "merge"])
def test_a_killed_run_is_repeated_to_the_same_bytes(what: str, stride: int, last: int, tmp_path: Path) -> None:
    folder = archive(tmp_path / "csv")
    if what == "merge":
        import_dataset(folder, tmp_path / "one")
        text = (folder / "a.csv").read_text().replace("Desert", "Snow")
        (folder / "a.csv").write_text(text)
        import_dataset(folder, tmp_path / "two")
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, what, str(tmp_path), str(stride), str(last)],
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) == 12 or 30 < int(done.stdout.split()[-1]) < 1000


def test_a_merge_of_files_without_a_manifest_sees_that_they_changed(tmp_path: Path) -> None:
    # Its identity were the hashes in the manifests alone: of a folder without one, nothing at all.
    two = tmp_path / "two"
    for version in (1, 2):
        mirror(two / "a.parquet", image=pa.array([{"bytes": png(version), "path": None}] * 4, IMAGE),
               scene_id=[f"{i:032x}" for i in range(4)], seen=[True] * 4)  # fmt: skip
        made = merge([open_dataset(two), open_dataset(two).where("camera_yaw = 0")], tmp_path / "x", keep_first=True,
                     common=True)  # fmt: skip
        assert made.image_bytes(0) == png(version)


def test_a_broken_picture_ends_a_merge_by_the_name_of_its_source(tmp_path: Path) -> None:
    # It was written, and the finished dataset failed afterwards, naming a row of the output.
    for number, name in enumerate(("one", "two")):
        pictures = [{"bytes": png(i) if number == 0 or i != 2 else png(i)[:90], "path": None} for i in range(4)]
        mirror(tmp_path / name / "a.parquet", image=pa.array(pictures, IMAGE),
               scene_id=[f"{number}{i:031x}" for i in range(4)])  # fmt: skip
    with pytest.raises(DatasetError, match=r"two/a\.parquet, row 2: image is no picture that can be read"):
        merge([open_dataset(tmp_path / "one"), open_dataset(tmp_path / "two")], tmp_path / "both")
    assert not json.loads((tmp_path / "both/manifest.json").read_text())["complete"]


def test_links_that_lead_round_in_a_circle_are_told(tmp_path: Path) -> None:
    archive(tmp_path / "in")
    (tmp_path / "in" / "p1.png").unlink()
    (tmp_path / "in" / "p1.png").symlink_to("p1.png")
    with pytest.raises(DatasetError, match=r"a\.csv:3: 'p1\.png': a link that leads round in a circle"):
        import_dataset(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("world_name", [["Desert"]] * 4, r"world_name = \['Desert'\]: a list is no text"),
        ("world_name", [b"Desert"] * 4, "a bytes is no text"),
        ("camera_yaw", pa.array(YAWS, pa.timestamp("s")), "a datetime is no number"),
    ],
)
def test_columns_of_a_type_that_no_factor_has_are_refused(name: str, values: Any, told: str, tmp_path: Path) -> None:
    """A list or bytes became a level called "['Desert']" or "b'Desert'"."""
    mirror(tmp_path / "in" / "a.parquet")
    table = pq.read_table(tmp_path / "in" / "a.parquet")
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, pa.array(values)), tmp_path / "in" / "a.parquet")
    with pytest.raises(DatasetError, match=rf"a\.parquet, row 0: .*{told}"):
        import_dataset(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
