"""The leakage report. Silently wrong would be a planted trace that is not found, or one seen where there is none."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.farm import generate
from torchmultiverse.store import open_dataset
from torchmultiverse.store.leaks import leakage


def test_a_planted_trace_is_found_and_no_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, worlds, animals = [], [], []
    for k in range(600):
        world, animal = int(rng.integers(3)), int(rng.integers(4))
        picture = rng.integers(0, 256, (16 + 2 * animal, 16, 3), dtype=np.uint8)  # the animal is in the file's size
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": f"{k}.png"})
        worlds.append(f"W{world}")
        animals.append(f"A{animal}")
    image = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": image, "world_name": worlds, "character_name": animals}), tmp_path / "d.parquet")
    found = leakage(open_dataset(tmp_path))
    assert [(x.factor, x.feature) for x in found if x.counts] == [("character_name", "file size")]
    assert found[0].accuracy > 0.95
    assert all(0.2 < x.chance < 0.5 for x in found)


def test_the_order_of_rows_tells_the_slowest_factor(tmp_path: Path) -> None:
    spec = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": list(range(0, 360, 8)), "Character_Scale": [0.7, 1]}
    report = generate(spec, tmp_path / "d", "marker", size=48, shard_rows=45, progress=False)
    found = {(x.factor, x.feature): x for x in leakage(open_dataset(tmp_path / "d"))}
    assert found["world_name", "row"].counts
    assert found["world_name", "shard"].counts
    assert not found["character_scale", "row"].counts
    written = json.loads((report.out / "leakage.json").read_text())
    assert {(x["factor"], x["feature"]) for x in written} == found.keys()
    shown = CliRunner().invoke(app, ["data", "leakage", str(report.out), "--format", "json"])
    assert shown.exit_code == 0
    assert {(x["factor"], x["feature"]) for x in json.loads(shown.stdout)} == found.keys()
