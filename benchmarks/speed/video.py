"""What clips cost: flow, its storage, MP4, and reading clips for training.

python benchmarks/speed/video.py --size 256 --frames 24
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from torchmultiverse import ClipDataset, Clips, generate, open_dataset, parse_spec
from torchmultiverse.engines import codec
from torchmultiverse.store import clip_rows, export_mp4
from torchmultiverse.store.clips import completed

PASSES = ["mask", "depth", "flow_forward", "flow_backward", "hidden_forward", "hidden_backward", "track"]


def spec(size: int, frames: int, samples: int, passes: list[str]) -> dict[str, object]:
    """Return a spec of two clips."""
    path = {
        "Camera_Yaw": {"keys": [[0, 0], [2, 40]], "interpolation": "smooth"},
        "Character_Rotation_Yaw": {"keys": [[0, 0], [2, 90]]},
    }
    clips = {"kind": "factorial", "factors": {"World_Name": ["VillageSquare"], "Character_Name": ["Elephant", "Zebra"]}}
    design = {"kind": "video", "clips": clips, "path": path, "fps": frames / 2, "seconds": 2}
    render = {"size": [size, size], "samples": samples, "passes": ["rgb", *passes]}
    return {"name": "video", "design": design, "render": render}


def psnr(dataset: object, file: Path, rows: list[int]) -> float:
    """Return the mean PSNR of a file's frames, dB."""
    import av

    with av.open(str(file)) as container:
        shown = [f.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray() for f in container.decode(video=0)]
    errors = [
        np.mean((picture.astype(float) - np.asarray(dataset.image(row))) ** 2)  # type: ignore[attr-defined]
        for picture, row in zip(shown, rows, strict=True)
    ]
    return float(np.mean([10 * np.log10(255**2 / error) for error in errors]))


def main() -> None:
    """Render two clips and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--samples", type=int, default=16)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "d"
        start = time.process_time()
        loaded = parse_spec(spec(args.size, args.frames, args.samples, PASSES))
        generate(loaded, out, "inprocess", progress=False, check=0)
        found = {"all_cpu_ms_per_frame": (time.process_time() - start) * 1000 / (2 * args.frames)}
        data = open_dataset(out)
        clips = clip_rows(data)
        rows = next(iter(clips.values()))
        tables = [data.table(data.columns).slice(row, 1) for row in rows]
        start = time.process_time()
        completed(tables, PASSES)
        found["flow_cpu_ms_per_frame"] = (time.process_time() - start) * 1000 / len(rows)
        pixels = args.size**2
        for name in ("image", *PASSES):
            found[f"bytes_per_pixel_{name}"] = (
                np.mean([len(data.image_bytes(row, name)) for row in rows[1:-1]]) / pixels
            )
        start = time.process_time()
        files = export_mp4(data, Path(folder) / "v")
        found["mp4_cpu_ms_per_frame"] = (time.process_time() - start) * 1000 / (2 * args.frames)
        found["mp4_bytes_per_pixel"] = sum(file.stat().st_size for file in files) / (2 * args.frames * pixels)
        found["mp4_psnr"] = psnr(data, files[0], rows)
        for name, columns in (("video", ["camera_yaw"]), ("video_flow", ["camera_yaw", "flow_forward"])):
            dataset = ClipDataset(out, Clips(length=8), columns=columns)
            start = time.process_time()
            for item in (dataset[k] for k in range(len(dataset))):
                assert item["video"].shape[0] == 8
            found[f"{name}_frames_per_cpu_s"] = 8 * len(dataset) / (time.process_time() - start)
        assert codec.decode("flow_forward", data.image_bytes(rows[0], "flow_forward")).shape[:2] == (args.size,) * 2
    print(json.dumps({key: round(float(value), 3) for key, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
