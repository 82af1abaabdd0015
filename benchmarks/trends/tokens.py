"""Are objects worth more than patches as tokens, and what does the additive attention add? On drawn pictures.

    python benchmarks/trends/tokens.py [--seeds 1] [--epochs 40] [--out FOLDER]

Pictures of two coloured shapes with their exact masks, in minimal pairs: the shapes change places, or colours. Three
small encoders of as many layers and heads are trained from scratch on the same pairs and asked about others, whose
combinations of colours and shapes they never saw. Says whether the trends of the source (Kalibhat, thesis, chapter 6)
were found: tokens above patches, and additive attention no worse than none where places are asked for.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import permutations, product
from pathlib import Path

import numpy as np
from ar4t import COLOURS, PLACES, SHAPES, SIDE, draw
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.models import TOKEN_KINDS, TokenModel
from torchmultiverse.store import ImageList
from torchmultiverse.train import CaptionPairs, TokenTraining, train_tokens

Thing = tuple[str, str]


def masked(one: Thing, two: Thing, relation: str, rng: np.random.Generator) -> Image.Image:
    """Return a picture with the number of the shape in the fourth channel."""
    pixels = np.asarray(draw(one, two, relation, rng))
    y, x = np.mgrid[:SIDE, :SIDE]
    own: list[NDArray[np.bool_]] = []
    for (colour, _), (cx, cy) in zip((one, two), PLACES[relation][:2], strict=True):
        near = (np.abs(x - cx) <= 9) & (np.abs(y - cy) <= 9)
        own.append(near & (np.abs(pixels.astype(int) - COLOURS[colour]).sum(-1) < 12))
    return Image.fromarray(np.dstack([pixels, (own[0] + 2 * own[1]).clip(0, 2).astype(np.uint8)]))


def pairs(
    things: list[tuple[Thing, Thing]], each: int, rng: np.random.Generator
) -> tuple[ImageList, list[CaptionPairs]]:
    """Return pictures in minimal pairs: shapes that change places, and shapes that change colours."""
    images: list[Image.Image] = []
    found = []
    for name in ("places", "colours"):
        rows, said = [], []
        for one, two in things:
            swapped = ((two[0], one[1]), (one[0], two[1]))
            for _ in range(each):
                state = rng.integers(2**32)
                rows.append((len(images), len(images) + 1))
                shown = ((one, two), (two, one)) if name == "places" else ((one, two), swapped)
                images += [masked(a, b, "to the left of", np.random.default_rng(state)) for a, b in shown]
                middle = " to the left of a " if name == "places" else " and a "
                said.append(tuple(f"a {a[0]} {a[1]}{middle}{b[0]} {b[1]}" for a, b in shown))
        found.append(CaptionPairs(name, np.array(rows), said))  # type: ignore[arg-type]
    return ImageList(images, [{"scene_id": f"{k:032x}"} for k in range(len(images))], "shapes"), found


def asked(model: TokenModel, images: ImageList, found: list[CaptionPairs]) -> dict[str, tuple[float, float]]:
    """Return the accuracy between two captions, and Winoground's group score, of each kind of pair."""
    vectors = model.encode_image([images.image(k) for k in range(len(images))])
    reached = {}
    for one in found:
        said = sorted({caption for two in one.captions for caption in two})
        text = dict(zip(said, model.encode_text(said), strict=True))
        scores = np.array([[[vectors[r] @ text[c] for c in two] for r in rows]
                           for rows, two in zip(one.rows, one.captions, strict=True)])  # fmt: skip
        right = np.stack([scores[:, 0, 0] > scores[:, 0, 1], scores[:, 1, 1] > scores[:, 1, 0]])
        image = np.stack([scores[:, 0, 0] > scores[:, 1, 0], scores[:, 1, 1] > scores[:, 0, 1]])
        reached[one.name] = float(right.mean()), float((right.all(0) & image.all(0)).mean())
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    reached: dict[str, list[dict[str, tuple[float, float]]]] = {kind: [] for kind in TOKEN_KINDS}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seeds):
            rng = np.random.default_rng(seed)
            things = [((a, s), (b, t)) for (a, b), (s, t) in product(permutations(COLOURS, 2), permutations(SHAPES, 2))]
            order = rng.permutation(len(things))
            images, train = pairs([things[k] for k in order[:72]], 2, rng)
            shown, test = pairs([things[k] for k in order[72:]], 2, rng)
            how = TokenTraining(epochs=arguments.epochs, batch_size=48, learning_rate=1e-3, layers=3, heads=4, width=64,
                                size=SIDE, patch=4, seed=seed)  # fmt: skip
            for kind in TOKEN_KINDS:
                folder = (arguments.out or Path(temporary)) / f"{kind}-{seed}"
                reached[kind].append(asked(train_tokens(images, train, folder, how, kind, quiet=True), shown, test))
    mean = {
        kind: {name: np.mean([one[name] for one in every], 0) for name in ("places", "colours")}
        for kind, every in reached.items()
    }
    print(f"{'unseen pairs, %':>32} {'places':>8} {'group':>7} {'colours':>9} {'group':>7}   chance 50, 16.7")
    for kind, name in TOKEN_KINDS.items():
        (places, group), (colours, other) = 100 * mean[kind]["places"], 100 * mean[kind]["colours"]
        print(f"{name:>32} {places:8.1f} {group:7.1f} {colours:9.1f} {other:7.1f}")
    whole = {kind: float(np.mean([by[name][0] for name in by])) for kind, by in mean.items()}
    for trend, seen in (
        ("tokens are above patches", whole["tokens"] > whole["patches"] + 0.02),
        ("additive attention is no worse than none on places",
         mean["tokens"]["places"][0] >= mean["tokens-plain"]["places"][0] - 0.02),
    ):  # fmt: skip
        print(f"{trend}: {'found' if seen else 'NOT found'}")


if __name__ == "__main__":
    main()
