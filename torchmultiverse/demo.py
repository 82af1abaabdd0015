"""The main job end to end, small: what ``torchmultiverse demo`` does and the shortest tour of the Python API.

Two datasets are rendered by the built-in engine in a process of its own, over WebRTC: a training set, at the size that
the model reads, and a SPAR benchmark of other scenes with the same worlds and animals. A small image-text model is
trained on the first while the second is rendered, and scored on it beside an untrained one of the same shape and a
colour-histogram baseline.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from torchmultiverse.connect import OwningEngine, open_engine
from torchmultiverse.engines import Engine
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.scenes import BLANK, Scene, Spec, parse_spec

WORLDS = ("AustralianRoad", "Arena")
ANIMALS = ("Elephant", "Penguin", "Zebra", "Goldfish")
SIZE = 96
"""Side of the benchmark's pictures: what a tile of the page shows."""
TRAINING_SIZE = 64
"""Side of the training pictures: what the model reads."""
SAMPLES = 4
TRAINING_IMAGES = 300
VIEWS = ((345, 350, 355), (5, 10, 15))
"""Camera yaws of the training set. Each arrangement is seen from one of each: what stands where is built once for both,
which is a third of what a small picture costs."""
PRETRAINED = "open_clip:ViT-B-32/laion2b_s34b_b79k"
_SIDES = ({"Character1_Pos": "left", "Character2_Pos": "right"}, {"Character1_Pos": "bottom", "Character2_Pos": "top"})
_PLAIN = {"Character_Texture": "Default", "Character2_Texture": "Default"}
_PAINTED = {**_SIDES[0], "Character_Texture": "Blue", "Character2_Texture": "Red"}
_SETTINGS = (*({**sides, **_PLAIN} for sides in _SIDES), _PAINTED)
_EMPTY = f"Character_Name = {BLANK} and Character2_Name = {BLANK}"


def benchmark_spec() -> Spec:
    """Return the demo's SPAR: 2 worlds, 4 animals and blank, both relations, one texture pair; 146 pictures.

    A world without animals is there once: nothing is asked of further pictures of it.
    """
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
                "linked": [list(_SETTINGS)],
                "exclude": [f"{_EMPTY} and Character1_Pos = bottom", f"{_EMPTY} and Character_Texture = Blue"],
            },
            "render": {"size": [SIZE, SIZE], "samples": SAMPLES},
        }
    )


def training_spec(rng: np.random.Generator, count: int = TRAINING_IMAGES) -> Spec:
    """Return scenes of the same worlds and animals whose sizes and views the benchmark does not hold.

    In each world every two animals stand in every arrangement equally often; sizes and views are random. A world's
    scenes follow each other, and an arrangement's views, so that an engine builds each once.
    """
    pairs = [(one, two, setting) for one in (BLANK, *ANIMALS) for two in (BLANK, *ANIMALS) for setting in _SETTINGS]
    scenes: dict[str, dict[str, Any]] = {}
    for number, world in enumerate(WORLDS, 1):
        order: list[int] = []
        while len(scenes) < number * count // len(WORLDS):
            order = order or [int(place) for place in rng.permutation(len(pairs))]
            one, two, setting = pairs[order.pop()]
            arrangement: dict[str, Any] = {
                "World_Name": world,
                "Character_Name": one,
                "Character2_Name": two,
                **setting,
            }
            for scale in ("Character_Scale", "Character2_Scale"):
                arrangement[scale] = round(float(rng.uniform(0.8, 0.98)), 2)
            for yaws in VIEWS:
                values = {**arrangement, "Camera_Yaw": int(rng.choice(yaws))}
                scenes[Scene(values).scene_id] = values
    return parse_spec(
        {
            "name": "demo_train",
            "family": "SPAR",
            "description": "Random scenes to train on; none of them is in the demo's SPAR.",
            "design": {"kind": "explicit", "scenes": list(scenes.values())},
            "render": {"size": [TRAINING_SIZE, TRAINING_SIZE], "samples": SAMPLES},
        }
    )


def announce(console: Console, text: str, seconds: float) -> None:
    """Print what begins now: a line across a terminal; a file, which is as wide as it likes, gets the words alone."""
    said = Text.assemble((text, "bold"), f"  {seconds:.0f} s")
    if console.is_terminal:
        console.rule(said, align="left")
    else:
        console.print(said)


def run(out: Path, console: Console, assets: Sequence[str] = ()) -> Path:
    """Run the demo into a folder and return the report page; ``assets`` are the packs that it draws from.

    Raises:
        TorchMultiverseError: whatever went wrong, named.
    """
    from torchmultiverse.evaluation import evaluate, leaderboard
    from torchmultiverse.models import HistogramBaseline, load_model, need
    from torchmultiverse.report import write_report
    from torchmultiverse.train import ClipTraining, train_clip

    need("open_clip", "the demo, which trains a small model,")  # now, not after minutes of rendering
    start = time.perf_counter()
    benchmark, training = benchmark_spec(), training_spec(np.random.default_rng(0))

    def step(text: str) -> None:
        announce(console, text, time.perf_counter() - start)

    def what(spec: Spec, folder: Path) -> str:
        width, height = spec.render.size
        return f"{spec.name}: {spec.build().count} pictures of {width}×{height} → {folder}"

    step("1  start the engine and the signalling server, connect over WebRTC")
    with ThreadPoolExecutor(1) as beside:
        engine = open_engine("builtin", assets=assets)
        try:
            console.print(f"connected to {engine.catalogue().engine} {engine.catalogue().version}", highlight=False)
            step(f"2  render {what(training, out / 'train')}")
            pictures = _render(training, out / "train", engine, assets)
            step(f"3  train a small image-text model from scratch, and render {what(benchmark, out / 'spar')}")
            rendering = beside.submit(_render, benchmark, out / "spar", engine, assets, progress=False)
            with _one_thread():
                checkpoint = train_clip(pictures, out / "model", ClipTraining(image_size=TRAINING_SIZE))
            spar = rendering.result()
        finally:
            engine.close()

    models: list[Any] = [
        load_model(f"tiny:{checkpoint}"),
        load_model(f"tiny:{checkpoint}/random"),
        HistogramBaseline.fit(pictures),
    ]
    try:
        models.append(load_model(PRETRAINED))
    except ModelError as error:
        console.print(f"no pretrained model here: {error}", highlight=False)

    step("4  score")
    result = evaluate(spar, models, out=out / "results")
    console.print(leaderboard(result))
    page = write_report(result, out / "report", spar)
    step("done")
    console.print(
        f"dataset  {out / 'spar'}\nresults  {out / 'results'}\npage     {page.resolve().as_uri()}", highlight=False
    )
    return page


def _render(spec: Spec, out: Path, engine: Engine, assets: Sequence[str], progress: bool = True) -> Any:
    """Render a spec by an engine that stays open, and return the dataset.

    Raises:
        DatasetError: a picture failed.
    """
    from torchmultiverse.farm import generate
    from torchmultiverse.store import open_dataset

    spec = spec.model_copy(update={"assets": list(assets)})
    done = generate(spec, out, engine=lambda: OwningEngine(engine, ExitStack()), progress=progress)
    if done.failures:
        raise DatasetError(f"{len(done.failures)} pictures of {spec.name} failed: {done.failures[0]}")
    return open_dataset(out)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute in this thread alone: the engine has use for the other cores, and threads that wait for each
    other cost a small model more than they save."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
