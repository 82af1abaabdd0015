"""Record the golden values anew: ``python tests/golden/renew.py``, only where a change of them is meant.

``--records`` writes the records as well. They stand for what earlier code wrote: a change that is meant gets records of
its own beside them, and they stay.
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


def write_records() -> None:
    """Write the records: datasets whole and unfinished, a recording, exports, kept features."""
    shutil.rmtree(RECORDS, ignore_errors=True)
    RECORDS.mkdir()
    reach.render(golden.SMALL, RECORDS / "format1", shard_rows=3)
    reach.render(golden.SPLIT, RECORDS / "format2", shard_rows=3)
    reach.record(golden.SMALL, RECORDS / "recording")
    _, state = reach.record(golden.SMALL, RECORDS / "recording_begun", 5)
    (RECORDS / "recording_begun_state.json").write_text(json.dumps(state, indent=1) + "\n")
    reach.export(RECORDS / "format2", RECORDS / "exported")
    for file in reach.pushed(RECORDS / "format2"):
        (RECORDS / "hub" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(RECORDS / "format2" / file, RECORDS / "hub" / file)
    for name in ("SMALL", "SPLIT"):
        code = f"import golden, reach; reach.render(golden.{name}, reach.Path(r'{RECORDS}/unfinished_{name.lower()}'), "
        code += "shard_rows=3, killed=True)"
        done = subprocess.run([sys.executable, "-c", code], cwd=HERE, check=False)
        assert done.returncode == 9
    reach.render(golden.SPLIT, RECORDS / "parts", shard_rows=3, part=(0, 2))
    reach.render(golden.SPLIT, RECORDS / "parts", shard_rows=3, part=(1, 2))
    golden.keep_features(RECORDS / "format1", RECORDS / "features")
    for left in [*RECORDS.rglob("status.json"), *RECORDS.rglob(".lock")]:
        left.unlink()
    specs = {"format1": golden.SMALL, "format2": golden.SPLIT, "recording": golden.SMALL}
    (RECORDS / "specs.json").write_text(json.dumps(specs, indent=1) + "\n")
    for name in ("samples.jpg", "croissant.json", "leakage.json", "quality.json"):  # the one for the Hub has them
        for file in [*RECORDS.glob(f"format?/{name}"), *RECORDS.glob(f"parts/*/*/{name}")]:
            file.unlink()
    for folder in ("pixels", "pictures"):  # made again, for they belong to a library's version, and to a file's date
        shutil.rmtree(RECORDS / "features" / folder, ignore_errors=True)


def main() -> None:
    """Write every file of values."""
    if "--records" in sys.argv:
        write_records()
    write("golden_scenes", {name: golden.spec_values(name) for name in reach.spec_names()})
    write("golden_records", {name: golden.record_values(name) for name in golden.COMPLETE})
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        golden.render_all(out)
        write("golden_datasets", {"coders": coders(), **{n: golden.dataset_values(out / n) for n in golden.DATASETS}})
        write("golden_scores", {name: golden.score_values(out, name) for name in reach.protocol_names()})
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
