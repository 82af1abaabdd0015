"""The main job end to end, small: what ``torchmultiverse demo`` does and the shortest tour of the Python API.

Two datasets are rendered by the built-in engine in a process of its own, over WebRTC: a SPAR benchmark, and a
training set of other scenes with the same worlds and animals. A small image-text model is trained on the second,
and scored on the first beside an untrained one of the same shape and a colour-histogram baseline.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from torchmultiverse.connect import OwningEngine, open_engine
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.scenes import BLANK, Scene, Spec, parse_spec

WORLDS = ("AustralianRoad", "Arena")
ANIMALS = ("Elephant", "Penguin", "Zebra", "Goldfish")
SIZE = 128
SAMPLES = 6
TRAINING_IMAGES = 400
PRETRAINED = "open_clip:ViT-B-32/laion2b_s34b_b79k"
_SIDES = ({"Character1_Pos": "left", "Character2_Pos": "right"}, {"Character1_Pos": "bottom", "Character2_Pos": "top"})
_PAINTED = {**_SIDES[0], "Character_Texture": "Blue", "Character2_Texture": "Red"}


def benchmark_spec() -> Spec:
    """Return the demo's SPAR: 2 worlds, 4 animals and blank, both relations, one texture pair; 150 pictures."""
    plain = {"Character_Texture": "Default", "Character2_Texture": "Default"}
    return parse_spec(
        {
            "name": "demo_spar",
            "family": "SPAR",
            "description": "A small SPAR: two worlds, four animals, both relations, one texture pair, blank scenes.",
            "design": {
                "kind": "factorial",
                "factors": {
                    "World_Name": list(WORLDS),
                    "Character_Name": [BLANK, *ANIMALS],
                    "Character2_Name": [BLANK, *ANIMALS],
                },
                "linked": [[{**sides, **plain} for sides in _SIDES] + [_PAINTED]],
            },
            "render": {"size": [SIZE, SIZE], "samples": SAMPLES},
        }
    )


def training_spec(rng: np.random.Generator, count: int = TRAINING_IMAGES) -> Spec:
    """Return random scenes of the same worlds and animals whose sizes and views the benchmark does not hold."""
    scenes: dict[str, dict[str, Any]] = {}
    while len(scenes) < count:
        names = [BLANK, *ANIMALS]
        one, two = rng.choice(names), rng.choice(names)
        if one == BLANK and two == BLANK and rng.random() < 0.5:
            continue
        setting = (*_SIDES, _PAINTED)[rng.choice(3, p=(0.5, 0.3, 0.2))]
        values = {
            "World_Name": str(rng.choice(WORLDS)),
            "Character_Name": str(one),
            "Character2_Name": str(two),
            **setting,
            "Character_Scale": round(float(rng.uniform(0.8, 0.98)), 2),
            "Character2_Scale": round(float(rng.uniform(0.8, 0.98)), 2),
            "Camera_Yaw": int(rng.choice([345, 350, 355, 5, 10, 15])),
        }
        scenes[Scene(values).scene_id] = values
    return parse_spec(
        {
            "name": "demo_train",
            "family": "SPAR",
            "description": "Random scenes to train on; none of them is in the demo's SPAR.",
            "design": {"kind": "explicit", "scenes": list(scenes.values())},
            "render": {"size": [SIZE, SIZE], "samples": SAMPLES},
        }
    )


def run(out: Path, console: Console, assets: Sequence[str] = ()) -> Path:
    """Run the demo into a folder and return the report page; ``assets`` are the packs that it draws from.

    Raises:
        TorchMultiverseError: whatever went wrong, named.
    """
    from torchmultiverse.evaluation import evaluate, leaderboard
    from torchmultiverse.farm import generate
    from torchmultiverse.models import HistogramBaseline, load_model, need
    from torchmultiverse.report import write_report
    from torchmultiverse.store import open_dataset
    from torchmultiverse.train import train_clip

    need("open_clip", "the demo, which trains a small model,")  # now, not after minutes of rendering
    start = time.perf_counter()

    def step(text: str) -> None:
        console.rule(Text.assemble((text, "bold"), f"  {time.perf_counter() - start:.0f} s"), align="left")

    step("1  start the engine and the signalling server, connect over WebRTC")
    engine = open_engine("builtin", assets=assets)
    try:
        console.print(f"connected to {engine.catalogue().engine} {engine.catalogue().version}", highlight=False)
        datasets = {}
        for number, (folder, spec) in enumerate(
            {"spar": benchmark_spec(), "train": training_spec(np.random.default_rng(0))}.items(), 2
        ):
            step(f"{number}  render {spec.name}: {spec.build().count} pictures of {SIZE}×{SIZE} → {out / folder}")
            spec = spec.model_copy(update={"assets": list(assets)})
            done = generate(spec, out / folder, engine=lambda: OwningEngine(engine, ExitStack()))
            if done.failures:
                raise DatasetError(f"{len(done.failures)} pictures of {spec.name} failed: {done.failures[0]}")
            datasets[folder] = open_dataset(out / folder)
    finally:
        engine.close()

    step("4  train a small image-text model from scratch")
    checkpoint = train_clip(datasets["train"], out / "model")
    models: list[Any] = [
        load_model(f"tiny:{checkpoint}"),
        load_model(f"tiny:{checkpoint}/random"),
        HistogramBaseline.fit(datasets["train"]),
    ]
    try:
        models.append(load_model(PRETRAINED))
    except ModelError as error:
        console.print(f"no pretrained model here: {error}", highlight=False)

    step("5  score")
    result = evaluate(datasets["spar"], models, out=out / "results")
    console.print(leaderboard(result))
    page = write_report(result, out / "report", datasets["spar"])
    step("done")
    console.print(
        f"dataset  {out / 'spar'}\nresults  {out / 'results'}\npage     {page.resolve().as_uri()}", highlight=False
    )
    return page
