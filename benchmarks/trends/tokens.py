"""Are objects worth more than patches as tokens, and what does the additive attention add?

    python benchmarks/trends/tokens.py [--seeds 1] [--epochs 40] [--out FOLDER]
    python benchmarks/trends/tokens.py --data data/minimal_pairs [--seeds 3] [--share 0.25] [--epochs 60] [--out FOLDER]

The source (Kalibhat, thesis, chapter 6; COCO, tokens of a segmenter, tested on ARO): tokens with additive attention
68.9 and 66.2 % on relations and attributes, without 67.8 and 64.1 %, and in the order of words 56.8 and 41.4 against
17.2 and 34.8 % (`benchmarks/reference/semantic_tokens.json`).

Here, without ``--data``: drawn pictures of two coloured shapes with their exact masks, in minimal pairs: the shapes
change places, or colours; asked about pairs whose combinations of colours and shapes were never seen (minutes on two
cores). With it: rendered minimal pairs (``torchmultiverse render scenes/minimal_pairs.json --size 64 --samples 4``, 768
pictures with masks, some minutes), trained on one world and asked about another. Objects are told apart so easily that
with all pairs both kinds of tokens are right everywhere; ``--share`` keeps a part of the training pairs, so that
neither is at its ceiling and the two can be compared. Three small encoders of as many layers and heads are trained from
scratch on the same pairs. Says whether the trends of the source were found: tokens above patches, and additive
attention above none; on renders by intervals over trainings and pairs of animals.
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
from verdicts import difference, points, verdict

from torchmultiverse.evaluation import minimal_protocol
from torchmultiverse.models import TOKEN_KINDS, TokenModel
from torchmultiverse.store import ImageList, ImageSet, MaskedImages, columns_of, open_dataset
from torchmultiverse.train import CaptionPairs, TokenTraining, train_tokens

Thing = tuple[str, str]
KINDS_ASKED = ("places", "colours")


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


Outcomes = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""By what is asked, of each pair: the accuracy between two captions, and Winoground's group score."""


def asked(model: TokenModel, images: ImageSet, found: list[CaptionPairs]) -> Outcomes:
    """Return what a model says of each kind of pair."""
    rows = np.unique(np.concatenate([one.rows.ravel() for one in found]))
    vectors = dict(zip(rows.tolist(), model.encode_image([images.image(int(k)) for k in rows]), strict=True))
    reached = {}
    for one in found:
        said = sorted({caption for two in one.captions for caption in two})
        text = dict(zip(said, model.encode_text(said), strict=True))
        scores = np.array([[[vectors[r] @ text[c] for c in two] for r in rows]
                           for rows, two in zip(one.rows.tolist(), one.captions, strict=True)])  # fmt: skip
        right = np.stack([scores[:, 0, 0] > scores[:, 0, 1], scores[:, 1, 1] > scores[:, 1, 0]])
        image = np.stack([scores[:, 0, 0] > scores[:, 1, 0], scores[:, 1, 1] > scores[:, 0, 1]])
        reached[one.name] = right.mean(0), (right.all(0) & image.all(0)).astype(np.float64)
    return reached


def rendered(data: Path, how: TokenTraining, seeds: int, share: float, out: Path, patches: bool = True) -> None:
    """Train on rendered pairs of one world, ask about another, and say what was found."""
    images = MaskedImages(open_dataset(data))
    columns = columns_of(images)
    train, test = (
        [CaptionPairs(task.name, task.rows.reshape(-1, 2), task.caption_pairs)
         for task in minimal_protocol("minimal_pairs", part).compile(columns)] for part in ("train", "test")
    )  # fmt: skip
    animals = np.array(["-".join(sorted(two)) for two in zip(
        columns["character_name"].astype(str), columns["character2_name"].astype(str), strict=True)])  # fmt: skip
    clusters = {one.name: np.unique(animals[one.rows[:, 0]], return_inverse=True)[1] for one in test}
    kinds = {kind: name for kind, name in TOKEN_KINDS.items() if patches or kind != "patches"}
    reached: dict[str, list[Outcomes]] = {kind: [] for kind in kinds}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        some = []
        for one in train:
            kept = np.sort(rng.permutation(len(one.rows))[: max(2, round(share * len(one.rows)))])
            some.append(CaptionPairs(one.name, one.rows[kept], [one.captions[k] for k in kept]))
        for kind in kinds:
            model = train_tokens(images, some, out / f"{kind}-{share:g}-{seed}", how.changed(seed=seed), kind,
                                 quiet=True)  # fmt: skip
            reached[kind].append(asked(model, images, test))
    print(f"{sum(len(one.rows) for one in some)} training pairs ({100 * share:g} %), {seeds} seeds, other world; "
          "between two captions in %, chance 50; in brackets the group score, chance 16.7")  # fmt: skip
    print(f"{'':>32} " + " ".join(f"{one.name + ' (' + str(len(one.rows)) + ')':>19}" for one in test) + f" {'all':>8}")
    whole: dict[str, list[NDArray[np.float64]]] = {}
    for kind, name in kinds.items():
        whole[kind] = [np.concatenate([one[task.name][0] for task in test]) for one in reached[kind]]
        cells = [100 * np.mean([[part.mean() for part in one[task.name]] for one in reached[kind]], 0) for task in test]
        row = " ".join(f"{right:12.1f} ({group:4.1f})" for right, group in cells)
        print(f"{name:>32} {row} {100 * np.mean(whole[kind]):8.1f}", flush=True)
    groups = np.unique(np.concatenate([animals[one.rows[:, 0]] for one in test]), return_inverse=True)[1]
    if patches:
        gain = difference(whole["patches"], whole["tokens"], groups)
        print(f"tokens with additive attention minus patches: {points(gain)} points")
        verdict("tokens are above patches", *gain[1:])
    gain = difference(whole["tokens-plain"], whole["tokens"], groups)
    print(f"additive attention minus none, all pairs: {points(gain)} points")
    verdict("additive attention is above none", *gain[1:])
    for one in test:
        gain = difference([o[one.name][0] for o in reached["tokens-plain"]],
                          [o[one.name][0] for o in reached["tokens"]], clusters[one.name])  # fmt: skip
        print(f"additive attention minus none, {one.name}: {points(gain)} points")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path, help="rendered minimal pairs with masks and a split 'test'")
    parser.add_argument("--patches", action=argparse.BooleanOptionalAction, default=True, help="with --data")
    parser.add_argument("--share", type=float, default=1.0, help="with --data: of the pairs, that are trained on")
    arguments = parser.parse_args()
    if arguments.data is not None:
        how = TokenTraining(epochs=arguments.epochs, batch_size=48, learning_rate=1e-3, layers=3, heads=4, width=64,
                            size=64, patch=8)  # fmt: skip
        with tempfile.TemporaryDirectory() as temporary:
            rendered(arguments.data, how, arguments.seeds, arguments.share, arguments.out or Path(temporary),
                     arguments.patches)  # fmt: skip
        return
    reached: dict[str, list[Outcomes]] = {kind: [] for kind in TOKEN_KINDS}
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
        kind: {name: np.mean([[part.mean() for part in one[name]] for one in every], 0) for name in KINDS_ASKED}
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
