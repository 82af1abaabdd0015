"""Clips as files that every player opens: MP4 with VP9.

PyAV writes them. Its wheels bring encoders under several licences; this one is libvpx, under a BSD licence. What it
loses is the eye's least loss: colours at half the resolution, and what a quantizer takes. The rows keep the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, MissingExtra
from torchmultiverse.files import atomic_file, disk_errors, write_atomic
from torchmultiverse.images import rgb
from torchmultiverse.paths import clip_name
from torchmultiverse.scenes import CLIP, FRAME, FRAME_TIME
from torchmultiverse.store.exporting import csv_sheet, export_readme, prepare_export, split_folders
from torchmultiverse.store.layouts import METADATA
from torchmultiverse.store.manifest import family_of, table_of
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.splits import split_name
from torchmultiverse.store.strips import clip_rows

QUALITY = 12
"""Quantizer of VP9, 0 (without loss) to 63."""
_BT709, _LIMITED, _SRGB = 1, 1, 13


def export_mp4(
    dataset: StoredDataset,
    out: str | Path,
    tick: Callable[[int], None] | None = None,
    *,
    overwrite: bool = False,
    quality: int = QUALITY,
) -> list[Path]:
    """Write a dataset of clips as one MP4 for each clip, and ``metadata.csv`` with what is in it.

    A factor that moves in any clip has two columns, of the first and of the last frame: ``…_start`` and ``…_end``.
    Lists of objects are their JSON text. A frame is shown at its time in the clip; where frames are missing, the one
    before stays. Of several splits each has a folder of its own.

    Args:
        dataset: what is written; its names cannot lead out of the folder.
        out: the folder.
        tick: called with the number of frames that are done.
        overwrite: write into a folder that is not empty; what an earlier export left goes.
        quality: quantizer, 0 (nothing is lost but colour's resolution) to 63.

    Returns:
        the files.

    Raises:
        DatasetError: the dataset has no clips, the folder is not empty, or it cannot be written.
        MissingExtra: PyAV is not installed.
    """
    if not 0 <= quality <= 63:
        raise DatasetError(f"quality = {quality}: a quantizer from 0, the best, to 63")
    av = _av()
    clips = clip_rows(dataset)
    if not clips:
        raise DatasetError(f"{dataset.path} has no clips: a spec with a design of the kind 'video' makes them")
    out = Path(out)
    labels = dataset.labels([name for name in dataset.columns if name not in dataset.image_columns]).to_pylist()
    folders, table = split_folders(dataset), table_of(dataset.manifest)
    clip, frame, time = (table[name].column for name in (CLIP, FRAME, FRAME_TIME))
    factors = [name for name in dataset.factors if name not in (clip, frame, time)]
    cells = _cells(factors, _moving(factors, [[labels[row] for row in rows] for rows in clips.values()]))
    prepare_export(dataset, out, family_of(dataset.manifest), overwrite)
    files: list[Path] = []
    done = 0
    with disk_errors(out), ExitStack() as open_files:
        columns = ["file_name", clip, "frames", "fps", *cells]
        sheets = {split: csv_sheet(open_files, out / folder / METADATA, columns) for split, folder in folders.items()}
        for name, rows in clips.items():
            split = split_name(labels[rows[0]].get("split"))
            file = out / folders[split] / f"{clip_name(name, dataset.path)}.mp4"
            of = [labels[row] for row in rows]
            rate = _rate([row[frame] for row in of], [row[time] for row in of])
            numbers = [int(row[frame]) for row in of]
            with atomic_file(file) as written:
                _write(av, written, (np.asarray(rgb(dataset.image(row))) for row in rows), numbers, rate, quality)
            facts: dict[str, Any] = {"file_name": file.name, clip: name, "frames": len(rows), "fps": f"{float(rate):g}"}
            sheets[split].writerow(facts | _said(of, cells))
            files.append(file)
            done += len(rows)
            if tick is not None:
                tick(done)
    with disk_errors(out):
        patterns = {split: f"{folder}**" for split, folder in folders.items()}
        write_atomic(out / "README.md", export_readme(dataset, patterns).encode())
    return files


def _moving(factors: Sequence[str], clips: Iterable[Sequence[Mapping[str, Any]]]) -> set[str]:
    """Return the factors that differ between frames of some clip."""
    return {name for frames in clips for name in factors if any(row[name] != frames[0][name] for row in frames)}


def _cells(factors: Sequence[str], moving: set[str]) -> dict[str, tuple[str, int]]:
    """Return the columns of a sheet, each with the factor and the frame that it is of."""
    cells: dict[str, tuple[str, int]] = {}
    for name in factors:
        cells |= {f"{name}_start": (name, 0), f"{name}_end": (name, -1)} if name in moving else {name: (name, 0)}
    return cells


def _said(frames: Sequence[Mapping[str, Any]], cells: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    return {column: frames[frame][name] for column, (name, frame) in cells.items()}


def _rate(numbers: Sequence[int], times: Sequence[float]) -> Fraction:
    """Return the frames per second of a clip, as exactly as its times say; 1 of a single frame at its begin."""
    if times[-1] <= 0:
        return Fraction(1)
    return Fraction(numbers[-1] / times[-1]).limit_denominator(1001)


def _write(
    av: Any, file: Any, pictures: Iterable[NDArray[np.uint8]], numbers: Sequence[int], rate: Fraction, quality: int
) -> None:
    """Write pictures (H, W, 3), each at its number divided by the rate, seconds."""
    with av.open(file, "w", format="mp4") as container:
        stream = None
        for number, picture in zip(numbers, pictures, strict=True):
            if stream is None:
                stream = container.add_stream("libvpx-vp9", rate=rate)
                stream.width, stream.height = picture.shape[1], picture.shape[0]
                stream.pix_fmt = "yuv420p"
                # One thread, so that equal pictures make equal files.
                stream.options = {"crf": str(quality), "b": "0", "deadline": "good", "cpu-used": "4", "threads": "1"}
                context = stream.codec_context
                context.colorspace, context.color_range = _BT709, _LIMITED
                context.color_primaries, context.color_trc = _BT709, _SRGB
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            shown = shown.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            shown.pts, shown.time_base = number - numbers[0], 1 / rate
            container.mux(stream.encode(shown))
        if stream is not None:
            container.mux(stream.encode())


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "video", "writing MP4") from None
    return av
