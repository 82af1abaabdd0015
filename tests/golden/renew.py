"""Record the golden values anew: ``python tests/golden/renew.py``, only where a change of them is meant.

``--records`` also writes those records that are not there. They stand for what earlier code wrote, so one that is there
stays as it is; what is written otherwise from now on gets a record of another name beside it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import golden
import reach
from values import HERE, RECORDS, coders


def write(name: str, values: Any) -> None:
    """Write recorded values."""
    (HERE / f"{name}.json").write_text(json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_records(out: Path) -> None:
    """Write records: datasets whole and unfinished, a recording, exports, kept features."""
    reach.render(golden.SMALL, out / "format1", shard_rows=3)
    reach.render(golden.SPLIT, out / "format2", shard_rows=3)
    reach.record(golden.SMALL, out / "recording")
    _, state = reach.record(golden.SMALL, out / "recording_begun", 5)
    (out / "recording_begun" / "state.json").write_text(json.dumps(state, indent=1) + "\n")
    reach.export(out / "format2", out / "exported")
    for file in reach.pushed(out / "format2"):
        (out / "hub" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(out / "format2" / file, out / "hub" / file)
    for name, (rows, when) in golden.UNFINISHED.items():
        folder = f"reach.Path(r'{out}/unfinished_{name.lower()}')"
        code = f"import golden, reach; reach.render(golden.{name}, {folder}, shard_rows={rows}, killed={when})"
        done = subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False)
        assert done.returncode == 9
    reach.render(golden.SPLIT, out / "parts", shard_rows=3, part=(0, 2))
    reach.render(golden.SPLIT, out / "parts", shard_rows=3, part=(1, 2))
    golden.keep_features(out / "format1", out / "features")
    for left in [*out.rglob("status.json"), *out.rglob(".lock")]:
        left.unlink()
    for name in ("samples.jpg", "croissant.json", "leakage.json", "quality.json"):  # the one for the Hub has them
        for file in [*out.glob(f"format?/{name}"), *out.glob(f"parts/*/*/{name}")]:
            file.unlink()
    for folder in ("pixels", "pictures"):  # made again, for they belong to a library's version, and to a file's date
        shutil.rmtree(out / "features" / folder, ignore_errors=True)


def main() -> None:
    """Write every file of values."""
    if "--records" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            write_records(Path(folder))
            for made in Path(folder).iterdir():
                if not (RECORDS / made.name).exists():
                    shutil.copytree(made, RECORDS / made.name)
    write("golden_scenes", {name: golden.spec_values(name) for name in reach.spec_names()})
    write("golden_records", {name: golden.record_values(name) for name in golden.COMPLETE})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        golden.render_all(out)
        write("golden_datasets", {"coders": coders(), **{n: golden.dataset_values(out / n) for n in golden.DATASETS}})
        write("golden_scores", {name: golden.score_values(out, name) for name in golden.SCORED})
        shown, found = golden.keep_features(RECORDS / "format1", out / "kept")
        kept = golden.kept_values(out / "kept")
        how = kept["hashed image"]["how"]
        geometry = {key: how["preprocess"][key] for key in reach.preprocess().geometry()}
        known = {**how, "weights": "c" * 64}
        del known["name"]
        adapters = {}
        for case in golden.adapter_values():
            adapter, _, output = case.partition(": ")
            adapters[case] = {**known, "model": golden.ADAPTERS[adapter], "output": output}
        values = {"shown": shown, "found": found, "kept": kept, "pixels": geometry}
        packages = kept["hashed image"]["packages"]
        write("golden_features", {**values, "adapters": {"packages": packages, "how": adapters}})


if __name__ == "__main__":
    main()
