"""How long does the live explorer take from a change to the picture? All controls but the world, drawn evenly.

An explorer of the built-in engine and a small classifier (an untrained ResNet-18 by default) is started as a process of
its own; this one speaks to it as its page does. Each change waits for the scores of the one before. Beside the times
stands what the engine itself says that it took, in the same run. With ``--cold`` nothing is there that earlier runs
left on the disk: kernels are compiled and meshes made when a change first needs them.

    python benchmarks/speed/explorer.py [--changes 50] [--model timm:resnet18/random] [--engine builtin] [--cold]
        [--save f.json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

START: dict[str, Any] = {"World_Name": "SaltFlats", "Character_Name": "Zebra"}


def drawn(control: dict[str, Any], rng: np.random.Generator) -> Any:
    """Return a level of a control."""
    if control["kind"] == "levels":
        return control["levels"][rng.integers(len(control["levels"]))]["value"]
    if control["kind"] == "vector":
        return ",".join(f"{part:.0f}" for part in rng.uniform(-100, 100, 3) * [1, 1, 0])
    low, high = control["low"], control["high"]
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))) if control["logarithmic"] else rng.uniform(low, high))
    return round(value) if control["whole"] else value


async def measure(address: str, changes: int, seed: int) -> list[dict[str, Any]]:
    """Make changes one after the other, and return what each took, in seconds."""
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    async with connect(address.replace("http:", "ws:"), proxy=None, max_size=None) as socket:

        async def look(number: int, factors: dict[str, Any]) -> dict[str, Any]:
            start = time.perf_counter()
            await socket.send(json.dumps({"type": "look", "number": number, "factors": factors}))
            took: dict[str, Any] = {"engine": 0.0}
            while True:
                event = json.loads(await socket.recv())
                now = time.perf_counter() - start
                if event.get("number") != number:
                    continue
                if event["type"] == "problem":
                    return {"problem": event["text"]}
                if event["type"] == "picture":
                    took.setdefault("first", now)
                    took["engine"] += event["engine_milliseconds"] / 1000
                if event["type"] == "readings":
                    return took | {"final": now}

        while (event := json.loads(await socket.recv()))["type"] != "ready":
            pass
        controls = [
            one for one in event["controls"] if one["group"] not in ("world", "region") and one["kind"] != "text"
        ]
        await look(0, START)
        factors, number = dict(START), 0
        while len(found) < changes:
            number += 1
            control = controls[rng.integers(len(controls))]
            wanted = factors | {control["factor"]: drawn(control, rng)}
            took = await look(number, wanted)
            if "problem" in took:  # what this world or these characters cannot have
                continue
            # A few changes on top of each other, as people turn things; then from the start again.
            factors = wanted if len(factors) < 6 else dict(START)
            found.append(took | {"factor": control["factor"]})
            print(f"{len(found):3} {control['factor']:26} first {took['first']:.2f} s, final {took['final']:.2f} s, "
                  f"engine {took['engine']:.2f} s", flush=True)  # fmt: skip
    return found


def _cold(folder: str) -> dict[str, str]:
    """Return an environment in which kernels (in the home folder) and meshes (in the cache) are not there yet."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return {"HOME": folder, "TORCHMULTIVERSE_CACHE": f"{folder}/cache", "XDG_DATA_HOME": data}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--model", default="r18=timm:resnet18/random")
    parser.add_argument("--engine", default="builtin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cold", action="store_true", help="begin with no kernels and no meshes on the disk")
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "torchmultiverse", "explore", "--port", "0", "--engine", arguments.engine,
               "--model", arguments.model]  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as empty,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | (_cold(empty) if arguments.cold else {}),
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            text = ""
            while not (address := re.search(r"http://\S+", text)):
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(text)
                text += line
            found = asyncio.run(measure(address[0], arguments.changes, arguments.seed))
        finally:
            process.terminate()
            process.wait()
    print(
        "cold: no kernels and no meshes on the disk"
        if arguments.cold
        else "with the kernels and meshes of earlier runs"
    )
    for name in ("first", "final"):
        times = np.array([one[name] for one in found])
        print(f"{name}: median {np.median(times):.2f} s, 95th percentile {np.quantile(times, 0.95):.2f} s")
    ratios = np.array([one["final"] / one["engine"] for one in found if one["engine"]])
    print(f"final over the engine's own time: median {np.median(ratios):.2f}")
    if arguments.save:
        arguments.save.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
