"""Train a classifier on live pictures twice, uniformly and adaptively, and see which level of which factor comes last.

    python docs/examples/adaptive_training.py [--pictures 1600] [--seeds 2] [--out docs/examples]

Both trainings are alike but for one line, the sampler. The model is a small convolutional network, built anew from the
same seed; every picture is rendered when it is asked for, and a memory of the last ones is trained on as well. What is
tested is never trained on: the same factors from a camera that stands higher.

It writes ``adaptive_training.svg`` (accuracy per level against pictures seen) and prints, for every level, after how
many pictures it was first told right in 60 of 100 cases.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from torchmultiverse.scenes import Design, parse_spec
from torchmultiverse.stream import Adaptive, RenderStream, Uniform

ANIMALS = ["Zebra", "Elephant", "Penguin", "Turtle", "Crow", "Goldfish"]
FACTORS: dict[str, list[Any]] = {
    "Character_Texture": ["Default", "Sky", "Asphalt"],
    "Camera_Yaw": [0, 90, 180, 270],
    "Character_Scale": [0.4, 1.0],
}
BASE = {"World_Name": ["SaltFlats"], "Character_Name": ANIMALS, **FACTORS}
SIZE, SAMPLES, NEW, OLD, STEPS, EVERY = 48, 4, 8, 24, 3, 160
LEARNED = 0.6
COLUMNS = {name: name.lower() for name in FACTORS}


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in ((3, 24), (24, 48), (48, 96)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96 * 4, len(ANIMALS)))


def design(**more: list[Any]) -> Design:
    return parse_spec({"name": "e", "design": {"kind": "factorial", "factors": {**BASE, **more}}}).build()


def held_out() -> tuple[torch.Tensor, torch.Tensor, list[dict[str, Any]]]:
    """Return pictures (N, 3, H, W), classes (N,) and labels that no training sees: another elevation of the camera."""
    sampler = Uniform(design(Camera_Pitch=[348]), shuffle=False)
    with RenderStream(sampler, "inprocess", size=SIZE, samples=16) as stream:
        items = list(stream)
    labels = torch.tensor([ANIMALS.index(item["character_name"]) for item in items])
    return torch.stack([item.pop("image") for item in items]), labels, items


def train(kind: str, pictures: int, seed: int, test: tuple[Any, Any, Any]) -> list[tuple[int, dict[Any, float]]]:
    """Return after how many pictures which accuracy was reached, overall and per (factor, level)."""
    sampler: Any = (
        Uniform(design(), seed, forever=True)
        if kind == "uniform"
        else Adaptive(design(), list(FACTORS), explore=0.3, memory=0.05, seed=seed)
    )
    model = network(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    rng = np.random.default_rng(seed)
    memory: deque[tuple[torch.Tensor, int]] = deque(maxlen=512)
    curve = [(0, score(model, test))]
    with RenderStream(sampler, "inprocess", size=SIZE, samples=SAMPLES, window=32, prefetch=32) as stream:
        feed = iter(stream)
        for seen in range(NEW, pictures + 1, NEW):
            items = [next(feed) for _ in range(NEW)]
            fresh = [(item["image"], ANIMALS.index(item["character_name"])) for item in items]
            for step in range(STEPS):
                picked = [memory[int(k)] for k in rng.integers(len(memory), size=OLD)] if memory else []
                images = torch.stack([image for image, _ in [*fresh, *picked]])
                labels = torch.tensor([label for _, label in [*fresh, *picked]])
                losses = nn.functional.cross_entropy(model.train()(images), labels, reduction="none")
                if step == 0:  # what the model thought of pictures that it had never seen
                    stream.feedback([item["scene_id"] for item in items], losses[:NEW].detach())
                optimizer.zero_grad()
                losses.mean().backward()
                optimizer.step()
            memory.extend(fresh)
            if seen % EVERY == 0:
                curve.append((seen, score(model, test)))
                print(f"  {kind} {seen:>5}: {100 * curve[-1][1]['all']:.0f} %", flush=True)
        print(f"  {stream}")
    return curve


@torch.no_grad()
def score(model: nn.Module, test: tuple[Any, Any, Any]) -> dict[Any, float]:
    images, labels, items = test
    right = (model.eval()(images).argmax(1) == labels).numpy()
    found: dict[Any, float] = {"all": float(right.mean())}
    for name, levels in FACTORS.items():
        for level in levels:
            found[name, level] = float(right[[item[COLUMNS[name]] == level for item in items]].mean())
    return found


def mean(curves: list[list[tuple[int, dict[Any, float]]]]) -> list[tuple[int, dict[Any, float]]]:
    return [
        (points[0][0], {key: float(np.mean([at[1][key] for at in points])) for key in points[0][1]})
        for points in zip(*curves, strict=True)
    ]


def learned(curve: list[tuple[int, dict[Any, float]]], key: Any) -> int | None:
    """Return after how many pictures a level was told right often enough, and stayed so at the next look."""
    for (seen, now), (_, later) in zip(curve, [*curve[1:], curve[-1]], strict=True):
        if min(now[key], later[key]) >= LEARNED:
            return seen
    return None


COLORS = ("#3567a8", "#c2562d", "#3d8b4f", "#8a4fa0")


def chart(curves: dict[str, list[tuple[int, dict[Any, float]]]]) -> str:
    """Return one panel per factor and way of training as an SVG picture; a line per level."""
    width, height, left, top = 300, 190, 46, 54
    most = curves["uniform"][-1][0]
    total = left + len(FACTORS) * (width + 24), top + 2 * (height + 40) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" width="{total[0]}" '
        f'height="{total[1]}" font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="20" font-size="15" font-weight="600">Accuracy on unseen pictures, by level, while a '
        "classifier trains on a live stream</text>",
    ]
    for row, kind in enumerate(curves):
        for column, (name, levels) in enumerate(FACTORS.items()):
            x0, y0 = left + column * (width + 24), top + row * (height + 40)
            parts.append(f'<text x="{x0}" y="{y0 - 8}" fill="#333">{name.replace("_", " ")}, {kind}</text>')
            for tick in (0, 25, 50, 75, 100):
                y = y0 + height * (1 - tick / 100)
                parts.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{y}" y2="{y}" stroke="#ddd"/>')
                if column == 0:
                    parts.append(f'<text x="{x0 - 6}" y="{y + 4}" text-anchor="end" fill="#555">{tick} %</text>')
            ends = []
            for k, level in enumerate(levels):
                points = [(x0 + width * seen / most, y0 + height * (1 - at[name, level])) for seen, at in curves[kind]]
                line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                parts.append(f'<polyline points="{line}" fill="none" stroke="{COLORS[k]}" stroke-width="2.2"/>')
                ends.append((points[-1][1], k, str(level)))
            parts += _names(sorted(ends), x0 + width - 4, y0 + height)
            if row == 1:
                for at, anchor in ((0, "start"), (most // 2, "middle"), (most, "end")):
                    x = x0 + width * at / most
                    place = f'x="{x}" y="{y0 + height + 16}" text-anchor="{anchor}"'
                    parts.append(f'<text {place} fill="#555">{at:,}</text>')
    parts.append(
        f'<text x="{total[0] - 24}" y="{total[1] - 2}" text-anchor="end" fill="#555">pictures rendered and seen</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _names(ends: list[tuple[float, int, str]], x: float, bottom: float) -> list[str]:
    """Return the levels' names as a small legend, bottom right."""
    return [
        f'<text x="{x}" y="{bottom - 8 - 15 * (len(ends) - 1 - i)}" text-anchor="end" font-weight="600" '
        f'fill="{COLORS[k]}" stroke="white" stroke-width="3" paint-order="stroke">{name}</text>'
        for i, (_, k, name) in enumerate(ends)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    start = time.perf_counter()
    test = held_out()
    print(f"{len(test[1])} pictures to test on, {time.perf_counter() - start:.0f} s")
    curves = {}
    for kind in ("uniform", "adaptive"):
        curves[kind] = mean([train(kind, arguments.pictures, seed, test) for seed in range(arguments.seeds)])
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "adaptive_training.svg").write_text(chart(curves))
    print(f"\nmean of {arguments.seeds} trainings; chance {100 / len(ANIMALS):.0f} %")
    print(
        f"{'factor':<20} {'level':>8} {'uniform':>16} {'adaptive':>16}   "
        f"pictures until {100 * LEARNED:.0f} %; at the end"
    )
    for name, levels in FACTORS.items():
        for level in levels:
            cells = []
            for kind in curves:
                at = learned(curves[kind], (name, level))
                cells.append(f"{at if at is not None else '-':>6} {100 * curves[kind][-1][1][name, level]:>7.1f} %")
            print(f"{name:<20} {level!s:>8} {cells[0]:>16} {cells[1]:>16}")
    ends = [f"{kind} {100 * curve[-1][1]['all']:.1f} %" for kind, curve in curves.items()]
    worst = {
        kind: min((curve[-1][1][n, v], f"{n} {v}") for n, levels in FACTORS.items() for v in levels)
        for kind, curve in curves.items()
    }
    print(
        f"all: {', '.join(ends)}; worst level: "
        + ", ".join(f"{k} {100 * v:.1f} % ({w})" for k, (v, w) in worst.items())
    )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
