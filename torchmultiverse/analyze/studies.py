"""Questions to a decoder: what a change of the picture, or of its vector, does to what is drawn.

Each study is a few rows of pictures and a small table of numbers over many pictures, so that nobody has to conclude
from three of them. They are those of F. Bordes et al., *High fidelity visualization of what your self-supervised
representation knows about*, TMLR 2022 (sections 4 and 5, appendices B to D). Rendered data add one: sums of vectors can
be held against the picture that they should give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from torchmultiverse.analyze.faithful import frechet_distance
from torchmultiverse.analyze.geometry import minimal_pairs
from torchmultiverse.analyze.neighbours import nearest_rows
from torchmultiverse.analyze.studio import Row, Studio, Study, sheet
from torchmultiverse.errors import DatasetError, ModelError, nearest
from torchmultiverse.evaluate import plain
from torchmultiverse.files import write_atomic
from torchmultiverse.stats import Intervals, mean_interval

MANY = 64
"""Pictures over which numbers are taken."""
EPSILONS = (0.0, 0.01, 0.025, 0.05, 0.1, 0.25)
NEIGHBOURS, COMMON = 20, 14
"""Of the source: dimensions that more than 14 of 20 neighbours use are what they have in common."""
KDE = 0.1
"""Spread of the noise that is added to a vector to draw a picture of none, in spreads of each feature."""


def _mean(name: str, values: NDArray[Any]) -> dict[str, float]:
    found = mean_interval(values.astype(float), np.arange(len(values)), Intervals())
    return {f"{name} %": found.mean, "from %": found.low, "to %": found.high}


def _by_picture(rows: Sequence[Row], kinds: int) -> tuple[Row, ...]:
    """Return rows of one kind after the other as all kinds of one picture together."""
    count = len(rows) // kinds
    return tuple(rows[kind * count + picture] for picture in range(count) for kind in range(kinds))


def _hue(image: Image.Image) -> Image.Image:
    h, s, v = image.convert("HSV").split()
    return Image.merge("HSV", (h.point(lambda x: (x + 85) % 256), s, v)).convert("RGB")


def _nearer(image: Image.Image) -> Image.Image:
    wide, high = image.size
    return image.crop((wide * 15 // 100, high * 15 // 100, wide * 85 // 100, high * 85 // 100)).resize(image.size)


def _farther(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image.resize((max(1, image.width * 2 // 3), max(1, image.height * 2 // 3))))
    short = [a - b for a, b in zip(np.asarray(image).shape[:2], pixels.shape[:2], strict=True)]
    sides = [(gap // 2, gap - gap // 2) for gap in short]
    return Image.fromarray(np.pad(pixels, (*sides, (0, 0)), "reflect"))


def _lower(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    gap = len(pixels) // 5
    return Image.fromarray(np.concatenate([pixels[:gap][::-1], pixels[: len(pixels) - gap]]))


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = MappingProxyType(
    {
        "as it is": lambda image: image,
        "mirrored": ImageOps.mirror,
        "a fifth lower": _lower,
        "nearer": _nearer,
        "farther": _farther,
        "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
        "other colours": _hue,
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(max(1, image.width / 32))),
    }
)


def changes(studio: Studio) -> Study:
    """Change pictures, and see whether the vector follows: what a model is invariant to."""
    many = studio.rows[:MANY]
    images = studio.images(many)
    held = studio.one.vectors[np.sort(studio.rows)]
    places = np.searchsorted(np.sort(studio.rows), many)
    rows, numbers = [], []
    for name, change in CHANGES.items():
        changed = [change(image) for image in images]
        vectors = studio.one.see(changed)
        again = nearest_rows(vectors, held, 1).rows[:, 0] == places
        moved = _mean("vector moved by", studio.moved(vectors, many))
        numbers.append({"picture": name, **moved, "nearest is still its own %": float(again.mean())})
        drawn = studio.draw(vectors[: studio.shown])
        rows += [Row(name, (studio.small(changed[k]),), tuple(drawn[k])) for k in range(len(drawn))]
    return Study(
        "changes", "When the picture changes",
        "Framed: a changed picture, whose vector is taken. Where the drawn pictures do not show the change, the layer "
        "does not see it. The table: how far the vector moves, in percent of the distance between two pictures, over "
        f"{len(many)} pictures.", _by_picture(rows, len(CHANGES)), tuple(numbers),
    )  # fmt: skip


def attacks(studio: Studio) -> Study:
    """Change pictures towards another class by the sign of the gradient, and see what is drawn."""
    import torch

    model = studio.one.model
    codes, levels = studio.codes[studio.label]
    plane = studio.planes[studio.label]
    many = studio.rows[:MANY]
    truth, aim = codes[many], (codes[many] + 1) % len(levels)
    preprocess = model.info.preprocess
    if preprocess is None:
        raise ModelError(f"'{model.info.name}' prepares pictures in a way of its own: an attack cannot be drawn")
    mean, std = (
        torch.tensor(v, device=model.device).view(1, 3, 1, 1).float() for v in (preprocess.mean, preprocess.std)
    )
    weight, bias = (torch.from_numpy(part).to(model.device) for part in (plane.weight, plane.bias))
    parts: dict[float, list[Any]] = {epsilon: [] for epsilon in EPSILONS}
    shown: dict[float, list[Any]] = {epsilon: [] for epsilon in EPSILONS}
    for start in range(0, len(many), 32):
        part = slice(start, start + 32)
        pixels = model.batch(studio.images(many[part])).requires_grad_(True)
        logits = studio.tap.forward(pixels)[0] @ weight + bias
        wanted = torch.from_numpy(aim[part]).to(model.device)
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"), [pixels])
        with torch.no_grad():
            bright = pixels * std + mean
            for epsilon in EPSILONS:
                changed = (bright - epsilon * slope.sign()).clamp(0, 1)
                parts[epsilon].append(studio.tap.forward((changed - mean) / std)[0].float().cpu().numpy())
                shown[epsilon].append((changed * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    rows, numbers = [], []
    for epsilon in EPSILONS:
        vectors, pictures = np.concatenate(parts[epsilon]), np.concatenate(shown[epsilon])
        said = plane.shares(vectors).argmax(1)
        numbers.append(
            {"change of a pixel at most": f"{255 * epsilon:.0f} of 255", "still right %": float((said == truth).mean()),
             "says the other class %": float((said == aim).mean()),
             "vector moved by %": float(studio.moved(vectors, many).mean())}
        )  # fmt: skip
        drawn = studio.draw(vectors[: studio.shown])
        rows += [
            Row(f"± {255 * epsilon:.0f}: {levels[said[k]]}", (studio.small(Image.fromarray(pictures[k])),),
                tuple(drawn[k]), wrong=bool(said[k] != truth[k]))
            for k in range(len(drawn))
        ]  # fmt: skip
    return Study(
        "attacks", "When the picture is made to deceive",
        f"Every pixel is moved by the same small amount in the direction that makes a linear reader of the layer "
        f"say another {plain(studio.label)} (FGSM). Red: it is deceived. What is drawn shows what the layer itself "
        "has come to hold.", _by_picture(rows, len(EPSILONS)), tuple(numbers),
    )  # fmt: skip


def manipulations(studio: Studio) -> Study:
    """Exchange the dimensions that neighbours have in common, or those that they have not."""
    x = studio.one.vectors
    middle, deviation = x.mean(0), x.std(0)
    sparse = bool((x == 0).mean() > 0.2)
    active = (x != 0) if sparse else np.abs(x - middle) > deviation
    rest = np.zeros_like(middle) if sparse else middle
    rng = np.random.default_rng((studio.seed, 1))
    codes = studio.codes[studio.label][0]
    sources = studio.rows[:MANY]
    near = nearest_rows(x[sources], x[studio.learnt], min(NEIGHBOURS, len(studio.learnt))).rows
    used = active[studio.learnt][near].mean(1)  # share of neighbours that use each dimension
    limit = COMMON / NEIGHBOURS
    others = np.array([_other(rng, studio.rows, codes, int(row)) for row in sources])
    masks = {"common": used > limit}
    sizes = masks["common"].sum(1)
    rare = np.where(used > 0, used, 2)
    place = np.argsort(np.argsort(rare, 1, kind="stable"), 1)
    masks["rare"] = (place < sizes[:, None]) & (used > 0) & ~masks["common"]
    masks["random"] = np.argsort(np.argsort(rng.random(used.shape), 1), 1) < sizes[:, None]
    variants = {
        "as it is": x[sources],
        "common ones at rest": np.where(masks["common"], rest, x[sources]),
        "common ones of another": np.where(masks["common"], x[others], x[sources]),
        "rare ones of another": np.where(masks["rare"], x[others], x[sources]),
        "random ones of another": np.where(masks["random"], x[others], x[sources]),
    }
    changed = {name: float(masks[name.split()[0]].mean()) if name != "as it is" else 0.0 for name in variants}
    drawn = {name: studio.draw(vectors, 1)[:, 0] for name, vectors in variants.items()}
    more = {name: studio.draw(vectors[: studio.shown]) for name, vectors in variants.items()}
    numbers = []
    for name, pictures in drawn.items():
        line: dict[str, Any] = {"dimensions": name, "changed %": changed[name]}
        for factor, (levels, _) in studio.codes.items():
            said = studio.seen(pictures, factor)
            differ = levels[sources] != levels[others]
            line[f"{plain(factor)}: its own %"] = float((said == levels[sources]).mean())
            line[f"{plain(factor)}: the other's %"] = (
                float((said == levels[others])[differ].mean()) if differ.any() else 0.0
            )
        numbers.append(line)
    given = studio.real(sources[: studio.shown]), studio.real(others[: studio.shown])
    rows = [
        Row(name, (given[0][k], given[1][k]) if "another" in name else (given[0][k],), tuple(more[name][k]))
        for k in range(min(studio.shown, len(sources)))
        for name in variants
    ]
    kind = "are not zero" if sparse else "are further than one spread from their mean"
    return Study(
        "manipulations", "When dimensions of the vector are exchanged",
        f"Common dimensions: those that {kind} in more than {COMMON} of the {NEIGHBOURS} nearest pictures. They are "
        "set to rest, or taken from another picture (framed second); beside it rare ones, and random ones as many. "
        "The table says what a linear reader sees in the drawn pictures: the level of the first picture, or that of "
        "the other one where it is another.", tuple(rows), tuple(numbers),
    )  # fmt: skip


def _other(rng: np.random.Generator, rows: NDArray[np.int64], codes: NDArray[np.int64], row: int) -> int:
    """Return a picture of another class, or any other."""
    apart = rows[codes[rows] != codes[row]]
    apart = apart if len(apart) else rows[rows != row] if len(rows) > 1 else rows
    return int(rng.choice(apart))


def means(studio: Studio) -> Study:
    """Draw from the mean vector of neighbours, and of classes."""
    x = studio.one.vectors
    codes, levels = studio.codes[studio.label]
    rows = []
    for row in studio.rows[: studio.shown]:
        own = studio.real(np.array([row]))[0]
        near = studio.learnt[nearest_rows(x[row][None], x[studio.learnt], min(20, len(studio.learnt))).rows[0]]
        for count in (1, 5, 20):
            some = near[:count]
            drawn = studio.draw(x[some].mean(0)[None])[0]
            rows.append(Row(f"mean of the {count} nearest" if count > 1 else "nearest", (own,), tuple(drawn)))
    numbers = []
    which = np.linspace(0, len(levels) - 1, min(8, len(levels))).astype(int)
    centres = np.stack([x[studio.learnt][codes[studio.learnt] == level].mean(0) for level in which])
    drawn = studio.draw(centres)
    for k, level in enumerate(which.tolist()):
        mine = np.flatnonzero(codes == level)[:1]
        rows.append(Row(f"mean of {levels[level]}", (studio.real(mine)[0],), tuple(drawn[k])))
        numbers.append(
            {plain(studio.label): levels[level],
             "drawn pictures that are seen as it %": float((studio.seen(drawn[k], studio.label) == level).mean())}
        )  # fmt: skip
    return Study(
        "means", "When vectors are averaged",
        "What is drawn from the mean vector of a picture's nearest neighbours (the picture itself is framed, and not "
        "among them), and of all pictures of a class (framed: one of them).", tuple(rows), tuple(numbers),
    )  # fmt: skip


def sums(studio: Studio) -> Study:
    """Add the difference of two pictures to a third, where the picture that should come of it is known.

    Raises:
        DatasetError: the data have no two pictures that differ in one factor alone.
    """
    columns = studio.one.features.columns
    factors = [name for name in studio.codes if len(studio.codes[name][1]) < len(columns[name])]
    pairs = minimal_pairs(columns, factors) if len(factors) > 1 else {}
    asked = [name for name in pairs if name != studio.label and len(pairs[name])]
    if not asked or studio.label not in pairs:
        raise DatasetError("no two factors that are varied one at a time")
    x = studio.one.vectors
    rng = np.random.default_rng((studio.seed, 2))
    label = studio.codes[studio.label][0]
    rows, numbers = [], []
    for name in asked[:4]:
        codes = studio.codes[name][0]
        rest = [studio.codes[f][0] for f in factors if f not in (name, studio.label)]
        place = {
            key: k
            for k, key in enumerate(zip(label.tolist(), codes.tolist(), *(c.tolist() for c in rest), strict=True))
        }
        quads = []
        for _ in range(40 * MANY):
            first = int(rng.integers(len(x)))
            a, u = int(label[first]), int(codes[first])
            tail = tuple(int(c[first]) for c in rest)
            b, v = int(rng.choice(label)), int(rng.choice(codes))
            found = [place.get((*key, *tail)) for key in ((b, u), (b, v), (a, v))]
            if a != b and u != v and None not in found:
                quads.append((first, *found))
            if len(quads) == 4 * MANY:
                break
        if not quads:
            continue
        one, two, three, truth = np.array(quads).T
        vectors = x[one] + (x[three] - x[two])
        near = nearest_rows(vectors, x, 4).rows
        # The three pictures themselves do not count as an answer.
        given = np.stack([one, two, three], 1)
        known = (near[:, :, None] == given[:, None, :]).any(2)
        best = near[np.arange(len(near)), known.argmin(1)]
        numbers.append(
            {"changed": plain(name), "nearest has the new level %": float((codes[best] == codes[truth]).mean()),
             f"and the {plain(studio.label)} %": float((label[best] == label[truth]).mean()),
             "is the very picture %": float((best == truth).mean()), "sums": len(quads),
             "distance to it, of that of two pictures %": float(studio.moved(vectors, truth).mean())}
        )  # fmt: skip
        drawn = studio.draw(vectors[:1])
        levels = studio.codes[name][1]
        line = studio.real(np.array([one[0], three[0], two[0], truth[0]]))
        rows.append(
            Row(f"{plain(name)}: {levels[codes[one[0]]]} to {levels[codes[truth[0]]]}", tuple(line[:3]),
                (line[3], *drawn[0]), ("as it should be", *[""] * len(drawn[0])))
        )  # fmt: skip
    if not rows:
        raise DatasetError("no four pictures that differ in two factors alone")
    return Study(
        "sums", "When vectors are added",
        "First framed picture, plus the second, minus the third. Rendered data have the picture that should come of "
        "it: it is the first of those to the right. The table asks for the nearest picture to the sum of vectors, "
        "without any drawing.", tuple(rows), tuple(numbers),
    )  # fmt: skip


def imagined(studio: Studio) -> Study:
    """Draw pictures of none: vectors of learnt pictures with noise (a kernel density estimate)."""
    rng = np.random.default_rng((studio.seed, 3))
    x = studio.one.vectors
    rows = rng.choice(studio.learnt, 4 * MANY)
    vectors = x[rows] + (KDE * x.std(0) * rng.normal(size=(len(rows), x.shape[1]))).astype(np.float32)
    drawn = studio.draw(vectors, 1, same_noise=False)[:, 0]
    real, other = x[studio.rows[: len(rows)]], x[rng.choice(studio.learnt, len(rows), len(studio.learnt) < len(rows))]
    name = f"Fréchet distance to held-out pictures (features: {studio.one.name})"
    numbers = [
        {"pictures": "drawn", name: frechet_distance(studio.one.look(drawn), real)},
        {"pictures": "real ones, as many", name: frechet_distance(other, real)},
    ]
    wide = 2 * studio.each
    lines = [Row("", (), tuple(drawn[k : k + wide])) for k in range(0, 3 * wide, wide)]
    return Study(
        "imagined", "Pictures of no picture",
        f"Vectors of pictures that the decoder learnt, with noise of {KDE:g} of each feature's spread.",
        tuple(lines), tuple(numbers),
    )  # fmt: skip


def certainty(studio: Studio) -> Study:
    """Draw from the pictures that a linear reader is most and least sure of."""
    codes, levels = studio.codes[studio.label]
    shares = studio.planes[studio.label].shares(studio.one.vectors[studio.rows])
    said, sure = shares.argmax(1), shares.max(1)
    order = np.argsort(-sure, kind="stable")
    count = min(studio.shown, len(order))
    rows = []
    for name, places in (("surest", order[:count]), ("least sure", order[::-1][:count])):
        drawn = studio.draw(studio.one.vectors[studio.rows[places]])
        real = studio.real(studio.rows[places])
        for k, at in enumerate(places.tolist()):
            wrong = bool(said[at] != codes[studio.rows[at]])
            rows.append(
                Row(f"{name}: {levels[said[at]]}, {100 * sure[at]:.0f} %", (real[k],), tuple(drawn[k]), (), wrong)
            )
    half = len(order) // 2
    right = said == codes[studio.rows]
    numbers = [
        {"pictures": name, "read rightly %": float(right[part].mean()), "mean certainty %": float(sure[part].mean())}
        for name, part in (("the surer half", order[:half]), ("the other half", order[half:])) if len(part)
    ]  # fmt: skip
    return Study(
        "certainty", "Sure and unsure",
        f"Held-out pictures whose {plain(studio.label)} a linear reader of the layer is most and least sure of. "
        "Red: it is wrong.", tuple(rows), tuple(numbers),
    )  # fmt: skip


def distances(studio: Studio) -> Study:
    """Hold drawn pictures against real ones: how near is each to the vector, and is it a copy of what was learnt?"""
    x = studio.one.vectors
    rng = np.random.default_rng((studio.seed, 4))
    codes = studio.codes[studio.label][0]
    many = studio.rows[:MANY]
    drawn = studio.draw(x[many], 1)[:, 0]
    vectors = studio.one.look(drawn)
    near = studio.learnt[nearest_rows(x[many], x[studio.learnt], min(studio.each, len(studio.learnt))).rows]
    mates = np.array(
        [rng.choice(same) if len(same := studio.learnt[codes[studio.learnt] == codes[row]]) else row for row in many]
    )
    random = rng.choice(studio.learnt, len(many))
    lines = {
        "drawn from its vector": studio.moved(vectors, many),
        "nearest that the decoder learnt": studio.moved(x[near[:, 0]], many),
        f"of its {plain(studio.label)}": studio.moved(x[mates], many),
        "any": studio.moved(x[random], many),
    }
    numbers: list[dict[str, Any]] = [{"pictures": name, **_mean("distance", values)} for name, values in lines.items()]
    # Copies, in pixels: a drawn picture must not be nearer to what was learnt than a real one is.
    kept = (
        studio.real(studio.learnt[rng.permutation(len(studio.learnt))[:2000]])
        .reshape(-1, drawn[0].size)
        .astype(np.float32)
    )
    apart = {}
    for name, pixels in (("drawn", drawn), ("real", studio.real(many))):
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        apart[name] = np.sqrt(nearest_rows(flat, kept, 1).distances[:, 0] / flat.shape[1])
    edge = float(np.quantile(apart["real"], 0.01))
    copied = float((apart["drawn"] < edge).mean())
    rows = []
    for k in range(min(studio.shown, len(many))):
        own = studio.real(many[k : k + 1])[0]
        pictures = studio.draw(x[many[k : k + 1]])[0]
        rows += [
            Row(
                "drawn",
                (own,),
                tuple(pictures),
                _share(studio.moved(studio.one.look(pictures), np.full(len(pictures), many[k]))),
            ),
            Row(
                "nearest that it learnt",
                (own,),
                tuple(studio.real(near[k])),
                _share(studio.moved(x[near[k]], np.full(len(near[k]), many[k]))),
            ),
        ]
    return Study(
        "distances", "How near drawn pictures are",
        "Distance of vectors to that of the framed picture, in percent of the distance between two pictures. A decoder "
        f"that can be trusted draws pictures nearer to it than any real one. Copies: {100 * copied:.0f} % of drawn "
        "pictures are nearer in pixels to one that was learnt than 99 % of real ones are.", tuple(rows), tuple(numbers),
    )  # fmt: skip


def _share(values: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(f"{100 * value:.0f} %" for value in values)


def against(studios: Sequence[Studio], count: int = 24) -> Study:
    """Hold decoders of several layers against each other on the same pictures: where do drawn pictures vary more?

    Args:
        studios: of the same dataset and size; features of the first one's layer judge all of them.
        count: pictures whose vectors are taken.

    Raises:
        ModelError: decoders of other sizes or datasets.
    """
    first = studios[0]
    for other in studios[1:]:
        if (
            other.one.decoder.config.size != first.one.decoder.config.size
            or other.one.features.dataset != first.one.features.dataset
        ):
            raise ModelError("decoders are compared on one dataset and at one size")
    common = first.rows
    for other in studios[1:]:
        common = common[np.isin(common, other.rows)]
    if len(common) < 2:
        raise ModelError("the decoders have no two held-out pictures in common; train them with one seed")
    rows = common[:count]
    titles = _titles(studios)
    drawn = {
        title: studio.draw(studio.one.vectors[rows], max(2, studio.each), same_noise=False)
        for title, studio in zip(titles, studios, strict=True)
    }
    inside: dict[str, dict[str, NDArray[np.float64]]] = {"pixels": {}, "features": {}}
    for name, pictures in drawn.items():
        flat = pictures.reshape(*pictures.shape[:2], -1).astype(np.float64) / 255
        inside["pixels"][name] = flat.var(1, ddof=1).sum(-1) / max(
            flat.reshape(-1, flat.shape[-1]).var(0, ddof=1).sum(), 1e-30
        )
        seen = (
            first.one.look(pictures.reshape(-1, *pictures.shape[2:]))
            .reshape(*pictures.shape[:2], -1)
            .astype(np.float64)
        )
        inside["features"][name] = seen.var(1, ddof=1).sum(-1) / max(
            seen.reshape(-1, seen.shape[-1]).var(0, ddof=1).sum(), 1e-30
        )
    numbers = []
    base = titles[0]
    for name, pictures in drawn.items():
        line: dict[str, Any] = {"drawn from": name}
        for space, values in inside.items():
            line[f"varies in {space} %"] = float(values[name].mean())
            more = mean_interval(values[name] - values[base], np.arange(len(rows)), Intervals())
            line[f"more than {base} in {space}"] = (
                "" if name == base else f"{100 * more.mean:+.1f} [{100 * more.low:.1f}, {100 * more.high:.1f}]"
            )
        for factor, (levels, _) in first.codes.items():
            said = first.seen(pictures.reshape(-1, *pictures.shape[2:]), factor)
            line[f"{plain(factor)} kept %"] = float((said == np.repeat(levels[rows], pictures.shape[1])).mean())
        numbers.append(line)
    real = first.real(rows[: 2 * first.shown])
    pages = [Row(name, (real[k],), tuple(drawn[name][k])) for k in range(len(real)) for name in drawn]
    return Study(
        "layers", "One layer against another",
        "The same pictures, drawn from the vectors of several layers. What varies more is less in the vector. The "
        "table: variance of pictures of one vector, as a share of the variance of all, in pixels and in features of "
        f"{base}; and what a linear reader of {base} still sees.", tuple(pages), tuple(numbers),
    )  # fmt: skip


def _titles(studios: Sequence[Studio]) -> list[str]:
    """Return names that tell the decoders apart: the layer, with the model or a number where that is not enough."""
    titles: list[str] = []
    for studio in studios:
        offers = (studio.one.layer, studio.one.name, *(f"{studio.one.name} ({k})" for k in range(2, 99)))
        titles.append(next(title for title in offers if title not in titles))
    return titles


STUDIES: Mapping[str, Callable[[Studio], Study]] = MappingProxyType(
    {
        "changes": changes, "attacks": attacks, "manipulations": manipulations, "means": means, "sums": sums,
        "imagined": imagined, "certainty": certainty, "distances": distances,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Studies:
    """Answers to several questions about one decoder.

    Attributes:
        config: of the decoder.
        dataset: name.
        answers: in the order asked.
        notes: questions that could not be asked, and why.
    """

    config: Mapping[str, Any]
    dataset: str
    answers: tuple[Study, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as plain data."""
        return {
            "decoder": dict(self.config), "dataset": self.dataset, "notes": list(self.notes),
            "studies": {one.name: [dict(line) for line in one.numbers] for one in self.answers},
        }  # fmt: skip

    def save(self, out: str | Path) -> Path:
        """Write ``studies.json``, a sheet ``NAME.png`` of each, and the page; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report import studies_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "studies.json", (json.dumps(self.as_dict(), indent=1) + "\n").encode())
        for one in self.answers:
            sheet(one).save(out / f"{one.name}.png")
        write_atomic(out / "index.html", studies_page(self).encode())
        return out / "index.html"


def ask(studio: Studio, names: Sequence[str] | None = None, others: Sequence[Studio] = ()) -> Studies:
    """Ask a decoder several questions.

    Args:
        studio: the decoder.
        names: of `STUDIES`; all by default, without those that the data cannot answer.
        others: decoders of other layers to hold it against.

    Raises:
        ModelError: no such question.
        DatasetError: data that cannot answer a question that was asked by name.
    """
    for name in names or ():
        if name not in STUDIES:
            raise ModelError(f"no study '{name}'.{nearest(name, STUDIES)}")
    answers, notes = [], []
    if others:
        answers.append(against([studio, *others]))
    for name in names or STUDIES:
        try:
            answers.append(STUDIES[name](studio))
        except DatasetError as error:
            if names:
                raise
            notes.append(f"{name}: {error}")
    return Studies(asdict(studio.one.decoder.config), studio.one.features.dataset, tuple(answers), tuple(notes))
