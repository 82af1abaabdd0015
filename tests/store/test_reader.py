"""Pictures are read by their place in the file, past Parquet's own reader: one byte off and rows swap or tear.

So every way of reading is compared with what pyarrow reads, over files of many makes.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.store import blocks, columns_of, inspect, open_dataset, open_images, pages
from torchmultiverse.store.combine import merge
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store.parquet import write_groups
from torchmultiverse.store.schema import IMAGE, huggingface
from torchmultiverse.stream import Dataset


def table(sizes: list[int], **columns: list[Any]) -> pa.Table:
    rng = np.random.default_rng(0)
    pictures = [{"bytes": rng.bytes(size), "path": f"{i}.png"} for i, size in enumerate(sizes)]
    return pa.table({"image": pa.array(pictures, IMAGE), "place": list(range(len(sizes))), **columns})


def check(folder: Path) -> bool:
    """Compare every picture with pyarrow's; return whether they were read by place."""
    stored = open_dataset(folder)
    expected = [value["bytes"] for value in stored.table(["image"])["image"].to_pylist()]
    order = np.random.default_rng(1).permutation(len(stored)).tolist()
    assert all(stored.image_bytes(i) == expected[i] for i in order)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(stored.image_bytes, order)) == [expected[i] for i in order]
    assert stored.row(-1)["image"]["bytes"] == expected[-1]
    return all(column is not None for shard in stored._shards for column in shard.found.values())


SIZES = [0, 1, 5, 127, 128, 70_000, 3, 1_500_000, 20, 2_000_000, 64, 900_000] * 4


@pytest.mark.parametrize("group", [1, 5, 64])
def test_places_are_right(group: int, tmp_path: Path) -> None:
    pq.write_table(table(SIZES), tmp_path / "a.parquet", compression="NONE", use_dictionary=False, row_group_size=group)
    pq.write_table(table(SIZES[::-1]), tmp_path / "b.parquet", compression="NONE", use_dictionary=False)
    assert check(tmp_path)


def makes(seed: int) -> dict[str, Any]:
    """One of the ways in which others write."""
    rng = np.random.default_rng(seed)
    return {
        "compression": str(rng.choice(["NONE", "SNAPPY", "SNAPPY", "ZSTD", "GZIP", "BROTLI", "LZ4"])),
        "use_dictionary": bool(rng.integers(2)),
        "data_page_version": str(rng.choice(["1.0", "2.0"])),
        "data_page_size": int(rng.choice([100, 50_000, 1 << 20])),
        "dictionary_pagesize_limit": int(rng.choice([50, 1 << 20])),
        "write_batch_size": int(rng.choice([1, 7, 1024])),
        "row_group_size": int(rng.choice([1, 13, 1000])),
        "write_page_index": bool(rng.integers(2)),
        "write_page_checksum": bool(rng.integers(2)),
        "write_statistics": bool(rng.integers(2)),
    }


def pictures(seed: int) -> list[Any]:
    """Rows of a column of pictures: of all sizes, repeated, alike to bytes that pack well, and some that are none."""
    rng = np.random.default_rng(seed)
    made = [rng.bytes(int(rng.choice([0, 1, 60, 127, 4_000, 65_536, 150_000]))) for _ in range(8)]
    made += [b"ab" * 40_000, bytes(70_000), made[-1]]
    rows: list[Any] = [{"bytes": made[int(n)], "path": None} for n in rng.integers(len(made), size=40)]
    if seed % 2:
        for n in rng.integers(len(rows), size=9).tolist():
            rows[n] = None if n % 2 else {"bytes": None, "path": "x.png"}
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_pictures_in_files_of_others_are_those_that_pyarrow_reads(seed: int, tmp_path: Path) -> None:
    """Here every way of storing bytes is taken apart past pyarrow: pages of two versions, packed, of values or of
    places in a dictionary, with levels that say where nothing is."""
    required = pa.struct([pa.field("bytes", pa.binary(), nullable=False), pa.field("path", pa.string())])
    rows = pictures(seed)
    fields = [pa.field("image", IMAGE if seed % 4 else required, nullable=seed % 4 > 0), pa.field("n", pa.int64())]
    schema = pa.schema(fields)
    content = pa.Table.from_pylist([{"image": row, "n": n} for n, row in enumerate(rows)], schema=schema)
    pq.write_table(content, tmp_path / "a.parquet", **makes(seed))
    opened = open_dataset(tmp_path)
    stored = [value and value["bytes"] for value in pq.read_table(tmp_path / "a.parquet")["image"].to_pylist()]
    for index in np.random.default_rng(seed).permutation(len(rows)).tolist() * 2:
        if stored[index] is None:
            with pytest.raises(DatasetError, match=f"row {index} holds no picture"):
                opened.image_bytes(index)
        else:
            assert opened.image_bytes(index) == stored[index]
    assert None not in opened._shards[0].found.values(), "pages were read, and not row groups"


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_what_is_stored_otherwise_is_read_through_arrow(encoding: str, tmp_path: Path) -> None:
    pq.write_table(
        table(SIZES), tmp_path / "a.parquet", use_dictionary=False, column_encoding={"image.bytes": encoding}
    )
    assert not check(tmp_path)


def test_a_picture_in_a_large_packed_page_costs_little_more_than_itself(tmp_path: Path) -> None:
    """pyarrow's own defaults put all pictures of a row group into one packed dictionary."""
    pq.write_table(table([200_000] * 64), tmp_path / "a.parquet")
    stored = open_dataset(tmp_path)
    assert stored.image_bytes(3), "which finds where each of them is"
    before = read_so_far()
    stored.image_bytes(40)
    assert 200_000 <= read_so_far() - before < 400_000, "of 12.8 MB"


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_what_snappy_packed_are_those_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.bytes(int(rng.integers(1, 100_000))), b"abc" * int(rng.integers(1, 30_000)), bytes(70_000)]
    whole = b"".join(parts[int(n)] for n in rng.integers(3, size=5))
    packed = pa.Codec("snappy").compress(whole, asbytes=True)
    starts = blocks.starts(packed, len(whole))
    assert starts is not None
    assert len(starts) == 1 + -(-len(whole) // blocks.BLOCK)
    for begin, end in np.sort(rng.integers(0, len(whole), (20, 2)), 1).tolist():
        found = blocks.read(lambda at, size: packed[at : at + size], starts, len(whole), begin, end + 1 - begin)
        assert found == whole[begin : end + 1]


def test_snappy_blocks_that_need_others_are_not_read_alone() -> None:
    """The format allows what its usual writer never does: a copy of bytes from a block before."""
    literal = bytes([63 << 2]) + (65_535).to_bytes(4, "little") + bytes(65_536)
    copy = bytes([1 << 2 | 3]) + (60_000).to_bytes(4, "little")
    head = bytes([0x82, 0x80, 0x04])  # 65,538
    packed = head + literal + copy
    assert len(pa.Codec("snappy").decompress(packed, 65_538)) == 65_538
    assert blocks.starts(packed, 65_538) is None
    assert blocks.starts(packed, 65_537) is None
    assert blocks.starts(head + literal + bytes([1 << 2]) + b"ab", 65_538) is not None


def test_statistics_and_checksums_in_the_page_header_do_no_harm(tmp_path: Path) -> None:
    pq.write_table(
        table(SIZES), tmp_path / "a.parquet", compression="NONE", use_dictionary=False,
        write_statistics=True, write_page_checksum=True,
    )  # fmt: skip
    check(tmp_path)


def test_a_missing_picture_is_said_and_moves_no_other(tmp_path: Path) -> None:
    pictures: list[Any] = [
        {"bytes": b"abc", "path": None},
        None,
        {"bytes": None, "path": "x.png"},
        {"bytes": b"d", "path": None},
    ]
    content = pa.table({"image": pa.array(pictures, IMAGE), "place": [0, 1, 2, 3]})
    pq.write_table(content, tmp_path / "a.parquet", compression="NONE", use_dictionary=False)
    stored = open_dataset(tmp_path)
    assert (stored.image_bytes(0), stored.image_bytes(3)) == (b"abc", b"d")
    for index in (1, 2):
        with pytest.raises(DatasetError, match=f"row {index} holds no picture"):
            stored.image_bytes(index)
    with pytest.raises(DatasetError, match="row 0 is no picture that can be read: 3 bytes"):
        stored.image(0)


@pytest.mark.parametrize("dictionary", [False, True])
def test_damaged_pages_are_never_half_understood(dictionary: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table([50] * 20), path, compression="NONE", use_dictionary=dictionary)
    whole = path.read_bytes()
    chunk = pages.groups(path)[0][1][0]
    assert chunk is not None

    def read() -> list[bytes | None] | None:
        file = pages.OpenFile(str(path), pages.stamp(path))
        try:
            column = pages.Column(file, chunk)
            return [column.read(file, row) for row in range(20)]
        except ValueError:
            return None

    right = read()
    assert right is not None
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[chunk.start + int(rng.integers(0, 60))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(broken)
        found = read()
        # A flipped bit in an unused field changes nothing, and one inside a picture this picture.
        assert found is None or sum(one != two for one, two in zip(found, right, strict=True)) <= 1


def read_so_far() -> int:
    """Return what this thread has read: other threads of the process may be those of earlier tests."""
    counts = Path("/proc/thread-self/io")
    if not counts.exists():
        pytest.skip(f"needs {counts}")
    return int(counts.read_text().split("rchar:")[1].split()[0])


def test_one_picture_costs_one_picture(tmp_path: Path) -> None:
    pq.write_table(table([200_000] * 64), tmp_path / "a.parquet", compression="NONE", use_dictionary=False)
    stored = open_dataset(tmp_path)
    assert stored.image_bytes(3), "which imports what it needs"
    before = read_so_far()
    stored.image_bytes(40)
    assert 200_000 <= read_so_far() - before < 400_000, "of 12.8 MB"


def test_a_replaced_file_is_not_read_with_old_places(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table([10] * 4), path, compression="NONE", use_dictionary=False)
    stored = open_dataset(tmp_path)
    pages.open_file.cache_clear()
    pq.write_table(table([30] * 4), tmp_path / "new", compression="NONE", use_dictionary=False)
    os.replace(tmp_path / "new", path)
    with pytest.raises(DatasetError, match="was replaced"):
        stored.image_bytes(0)
    assert len(open_dataset(tmp_path).image_bytes(0)) == 30


def test_filters_over_any_column(tmp_path: Path) -> None:
    content = table(
        [1] * 6,
        world_name=["A", "B", None, "A", "B", "A"],
        camera_yaw=[-45, 315, 400, 0, 45, None],
        label=["x", "y", "x", "y", "x", "y"],
        score=[0.5, float("nan"), 1.5, 2.5, None, 0.0],
    )
    pq.write_table(content, tmp_path / "a.parquet")
    stored = open_dataset(tmp_path)

    def places(text: str) -> list[int]:
        return stored.where(text).table(["place"])["place"].to_pylist()

    assert places("world_name = A") == places("World_Name = A") == [0, 3, 5]
    assert places("camera_yaw = -45") == places("camera_yaw = 315") == [0, 1], "one angle, two names"
    assert places("camera_yaw > 100") == [0, 1, 2]
    assert places("label = x and world_name != A") == [4]
    assert places("score > 0.4") == [0, 2, 3]
    assert places("world_name in (A, B) and label = y") == [1, 3, 5]
    assert stored.where("label = x").where("score > 0.4").table(["place"])["place"].to_pylist() == [0, 2]
    assert len(stored.where("label = z")) == 0
    assert stored.factors == ["world_name", "camera_yaw"]
    assert stored.table().column_names == ["place", "world_name", "camera_yaw", "label", "score"]
    assert stored.row(2, ["label", "place"]) == {"label": "x", "place": 2}
    with pytest.raises(SpecError, match="Did you mean 'label'"):
        stored.where("labl = x")
    with pytest.raises(DatasetError, match="no column 'character_name'"):
        stored.where("character_name = Lion")


def test_shards_with_other_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(table([1]), tmp_path / "a.parquet")
    pq.write_table(table([1], extra=[1]), tmp_path / "b.parquet")
    with pytest.raises(DatasetError, match=r"other columns than a\.parquet: extra"):
        open_dataset(tmp_path)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "world=Desert" / "data"
    folder.mkdir(parents=True)
    pq.write_table(table([1]), folder / "a.parquet")
    assert open_dataset(folder.parent).table().column_names == ["place"]


def test_a_dataset_that_the_datasets_library_wrote(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    made = [Image.new("RGB", (8, 8), (n, 0, 0)) for n in range(5)]
    datasets.Dataset.from_dict(
        {"image": made, "world_name": ["A", "B", "A", "B", "A"]},
        features=datasets.Features({"image": datasets.Image(), "world_name": datasets.Value("string")}),
    ).to_parquet(tmp_path / "train.parquet")
    stored = open_dataset(tmp_path)
    assert stored.image_columns == ["image"]
    some = stored.where("world_name = A")
    assert [picture.getpixel((0, 0))[0] for picture in some.iter_images()] == [0, 2, 4]
    assert [picture.getpixel((0, 0))[0] for picture in some.iter_images([2, 0])] == [4, 0]
    buffer = io.BytesIO(stored.image_bytes(1))
    assert (
        hashlib.sha256(np.array(Image.open(buffer)).tobytes()).digest()
        == hashlib.sha256(np.array(made[1]).tobytes()).digest()
    )


def stored(folder: Path) -> Path:
    """A dataset as ours are, and the file that holds its rows."""
    fields = {"image": IMAGE, "world_name": pa.string(), "camera_yaw": pa.int64(), "scene_id": pa.string()}
    rows = [
        {
            "image": {"bytes": png(i), "path": f"{i}.png"},
            "world_name": "Desert",
            "camera_yaw": i,
            "scene_id": f"{i:032x}",
        }
        for i in range(200)
    ]
    schema = huggingface(fields)
    (folder / "data").mkdir(parents=True)
    with open(folder / "data/train-00000.parquet", "wb") as file:
        write_groups(file, schema, (pa.Table.from_pylist(rows[i : i + 64], schema=schema) for i in range(0, 200, 64)))
    return folder / "data/train-00000.parquet"


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def places(path: Path) -> dict[str, tuple[int, int]]:
    """Start and length of the pages of each column in the first row group."""
    return {chunk.leaf: (chunk.start, chunk.size) for chunk in pages.groups(path)[0][1] if chunk}


READERS: dict[str, Callable[[Path, Path], object]] = {
    "table": lambda path, out: open_dataset(path).table(),
    "row": lambda path, out: open_dataset(path).row(0),
    "where": lambda path, out: open_dataset(path).where("world_name = Desert"),
    "evaluate": lambda path, out: columns_of(open_images(path)),
    "stream": lambda path, out: Dataset(path, transform=lambda picture: picture),
    "inspect": lambda path, out: inspect(open_dataset(path)),
    "merge": lambda path, out: merge([open_dataset(path), open_dataset(path)], out / "merged", keep_first=True),
    "import": lambda path, out: import_dataset(path, out / "imported"),
}


@pytest.mark.parametrize("how", READERS)
def test_a_damaged_page_is_one_error_that_names_the_file(how: str, tmp_path: Path) -> None:
    # Arrow has seven errors for it, of no common kind, and none names the file.
    path = stored(tmp_path / "d")
    start, length = places(path)["world_name"]
    data = bytearray(path.read_bytes())
    data[start + length // 2 : start + length] = bytes(length - length // 2)
    path.write_bytes(data)
    (tmp_path / "d/manifest.json").write_text("{}")
    with pytest.raises(
        DatasetError, match=r"d/data/train-00000\.parquet: cannot be read, it is damaged.*Copy it again"
    ):
        READERS[how](tmp_path / "d", tmp_path)
    assert not list(tmp_path.rglob("README.md"))


def test_every_damage_is_a_typed_error_or_none(tmp_path: Path) -> None:
    path = stored(tmp_path / "d")
    whole = path.read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    rng = np.random.default_rng(0)
    refused: list[str] = []
    for number in range(60):
        data = bytearray(whole)
        if number % 4:
            for place in rng.integers(0, end, 3):
                data[place] ^= 1 << int(rng.integers(0, 8))
        else:
            del data[int(rng.integers(0, len(data))) :]
        (path.parent / "new").write_bytes(data)
        os.replace(path.parent / "new", path)
        try:
            opened = open_dataset(tmp_path / "d")
            opened.table().to_pylist()
            for row in range(0, 200, 9):
                opened.row(row)
                opened.image(row)
        except DatasetError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all("train-00000.parquet" in text for text in refused)


_FOOTERS = """
import os, sys
from pathlib import Path
import numpy as np
from torchmultiverse.errors import DatasetError
from torchmultiverse.store import open_dataset

folder = Path(sys.argv[1])
path = folder / "data/train-00000.parquet"
whole = path.read_bytes()
start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
rng = np.random.default_rng(0)
for number in range(400):
    data = bytearray(whole)
    data[int(rng.integers(start, len(data)))] ^= 1 << int(rng.integers(0, 8))
    (path.parent / "new").write_bytes(data)
    os.replace(path.parent / "new", path)
    try:
        opened = open_dataset(folder)
        opened.table().to_pylist()
        for row in range(0, len(opened), 50):
            opened.row(row)
            if "image" in opened.image_columns:
                opened.image(row)
    except DatasetError:
        pass
print("whole")
"""


def test_a_damaged_footer_ends_no_process(tmp_path: Path) -> None:
    # pyarrow ends the process over some: asked for a column chunk, it throws an exception of C++ that nobody catches.
    stored(tmp_path / "d")
    done = subprocess.run(
        [sys.executable, "-c", _FOOTERS, str(tmp_path / "d")], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.stdout.strip() == "whole", done.stderr[-2000:]


def test_what_the_footer_says_is_what_pyarrow_says(tmp_path: Path) -> None:
    path = stored(tmp_path / "d")
    metadata = pq.read_metadata(path)
    found = pages.groups(path)
    assert [rows for rows, _ in found] == [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    for g, (_, columns) in enumerate(found):
        for c in range(metadata.num_columns):
            column = metadata.row_group(g).column(c)
            said = (column.path_in_schema, column.data_page_offset, column.total_compressed_size, column.num_values)
            found_here = columns[c]
            assert (found_here is None) == (column.physical_type != "BYTE_ARRAY")
            assert found_here is None or found_here[:4] == said


@pytest.mark.parametrize(
    ("package", "without"),
    [
        ("scenes", {"scipy", "torch", "mitsuba", "pandas", "pyarrow", "PIL"}),
        ("store", {"scipy", "torch", "mitsuba", "pandas", "datasets", "huggingface_hub", "sklearn"}),
        ("stream.dataset", {"scipy", "mitsuba", "pandas", "datasets", "torch"}),
    ],
)
def test_what_reads_datasets_imports_no_large_library(package: str, without: set[str]) -> None:
    """Every worker process of a loader would wait for it, and nothing else would say so."""
    code = (
        f"import importlib, sys; found = importlib.import_module('torchmultiverse.{package}')\n"
        "for name in getattr(found, '__all__', ()): getattr(found, name)\n"
        f"print(*({without!r} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
