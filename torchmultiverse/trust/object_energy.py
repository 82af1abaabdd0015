"""Heat maps of discriminative features against the exact masks of a rendered dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, HeatMaps, Sign, resized_maps
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import FloatArray, Preprocess
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, Section
from torchmultiverse.trust.regions import Regions, regions_of
from torchmultiverse.trust.scored import Scored
from torchmultiverse.trust.trust_sections import by_level

MASK = "mask"
_BATCH = 16
_SHOWN = 6


@dataclass(frozen=True)
class ObjectEnergy:
    """What share of the heat of discriminative features lies on the core.

    Attributes:
        test: places of the pictures among the test pictures, (P,); all with a discriminative active feature.
        regions: of the pictures' own masks.
        exchanged: share of the heat on the mask of another of the pictures, (P,): a map that knows where objects
            usually are, and not where this one is.
        overlays: the pictures as the model sees them, warm where the heat is, uint8 (P, H, W, 3).
        core: number of the core in the masks.
        place: layer whose map it is.
        side: height and width of that map.
    """

    test: NDArray[np.int64]
    regions: Regions
    exchanged: NDArray[np.float64]
    overlays: NDArray[np.uint8]
    core: int
    place: str
    side: tuple[int, int]


def core_of(label: str) -> int:
    """Return the number in masks of what a column is about: 0 the background, 1 and 2 the characters.

    >>> core_of("character_name"), core_of("character2_texture"), core_of("world_name")
    (1, 2, 0)
    """
    return 2 if label.startswith("character2") else 0 if label.startswith("world") else 1


def require_masks(images: ImageSet) -> None:
    """Refuse data without exact masks.

    Raises:
        DatasetError: they have none.
    """
    if MASK not in images.passes:
        raise DatasetError(
            "the data have no exact masks (column 'mask'): a folder of pictures has none, a spec with \"passes\": "
            '["rgb", "mask"] renders them'
        )


def measure_energy(
    model: Any, layer: str, images: ImageSet, rows: NDArray[np.int64], found: Scored, sign: Sign,
    core: int, most: int, rng: np.random.Generator, quiet: bool,
) -> ObjectEnergy:  # fmt: skip
    """Compare heat maps of each picture's active discriminative features with its mask.

    Args:
        model: loaded.
        layer: whose features.
        images: rendered with masks.
        rows: of the dataset, of all features, (N,).
        found: scores.
        sign: what was done to negative features.
        core: number of the core in the masks.
        most: pictures, drawn at random from those with a score and with a core.
        rng: draws them.
        quiet: show no bar.

    Raises:
        DatasetError: no masks, or no picture with a core.
        ModelError: a layer without places, or a model whose crop is not known.
    """
    require_masks(images)
    preprocess = model.info.preprocess
    if preprocess is None:
        raise ModelError(f"how '{model.info.name}' crops a picture is not declared: masks cannot be cropped alike")
    maps = HeatMaps(model, layer)
    test = rng.permutation(np.flatnonzero(found.known))
    kept: list[int] = []
    side = (0, 0)
    heats, cores, overlays = [], [], []
    total = min(most, len(test))
    with progress_bar(quiet) as progress:
        bar = progress.add_task("heat maps", total=total)
        for start in range(0, len(test), _BATCH):
            part = test[start : start + _BATCH]
            # Before the model: a picture without the object is passed over.
            masks = list(_regions(images, rows[found.rows[part]], core, preprocess))
            seen = [k for k, mask in enumerate(masks) if mask.max() > 0][: total - len(kept)]
            if not seen:
                continue
            mine = part[seen]
            pictures = [rgb(image) for image in images.iter_images([int(r) for r in rows[found.rows[mine]]])]
            made = maps(pictures, _weights(found, mine, sign))
            side = (int(made.shape[1]), int(made.shape[2]))
            heat = resized_maps(made, preprocess.size)
            heats.append(heat)
            cores.append(np.stack([masks[k] for k in seen]))
            overlays.append(_overlay(preprocess.pixels(pictures), heat))
            kept += mine.tolist()
            progress.advance(bar, len(seen))
            if len(kept) >= total:
                break
    if not kept:
        raise DatasetError(f"no test picture with a score shows number {core} of its mask")
    heat, region = np.concatenate(heats), np.concatenate(cores)
    return ObjectEnergy(
        np.array(kept), regions_of(heat, region), regions_of(heat, np.roll(region, 1, 0)).core,
        np.concatenate(overlays), core, maps.place, side,
    )  # fmt: skip


def _regions(
    images: ImageSet, rows: NDArray[np.int64], core: int, preprocess: Preprocess
) -> Iterator[NDArray[np.float32]]:
    """Yield the core of each picture as the model sees it, (H, W), 0 to 1."""
    geometry = replace(preprocess, fill=0, interpolation="bilinear")  # beside the picture is nothing
    for row in rows:
        whole = np.asarray(images.annotation(int(row), MASK)) == core
        grey = Image.fromarray((255 * whole).astype(np.uint8)).convert("RGB")
        yield geometry.pixels([grey])[0, ..., 0].astype(np.float32) / np.float32(255)


def _weights(found: Scored, test: NDArray[np.int64], sign: Sign) -> FloatArray:
    """Return 1 for each active discriminative feature of some test pictures, (P, r), with its sign."""
    weights = np.zeros((len(test), found.active.size), np.float32)
    for k, place in enumerate(found.rows[test]):
        mine = found.active.features[found.active.starts[place] : found.active.starts[place + 1]]
        mine = mine[found.band[mine]]
        weights[k, mine] = np.sign(found.vectors[place, mine]) if sign == "absolute" else 1
    return weights


def _overlay(pixels: NDArray[np.uint8], heat: FloatArray) -> NDArray[np.uint8]:
    """Return pictures that are grey where there is no heat and orange where it is largest, (N, H, W, 3)."""
    share = (heat / np.maximum(heat.max((1, 2), keepdims=True), 1e-30))[..., None]
    grey = pixels.mean(3, keepdims=True)
    warm = np.array([255.0, 110.0, 0.0])
    mixed: NDArray[np.uint8] = np.clip((1 - 0.7 * share) * grey + 0.7 * share * warm, 0, 255).astype(np.uint8)
    return mixed


def energy_section(energy: ObjectEnergy, found: Scored) -> Section:
    """Return the section: energy and overlap where the probe is right and wrong, and pictures."""
    defined = np.isfinite(energy.regions.core)
    lines, bars = _by_answer(energy, found, defined)
    what = {0: "the background", 1: "the object", 2: "the second object"}.get(energy.core, f"number {energy.core}")
    whole = lines[0] if lines else {}
    said = (
        f"{100 * float(whole['energy on the core %'] or 0):.1f} % of the heat lies on {what}, which fills "
        f"{100 * float(whole['area of the core %'] or 0):.1f} % of the picture; on the mask of another picture "
        f"{100 * float(whole['mask of another %'] or 0):.1f} %. "
        if lines
        else "No heat map has any heat. "
    )
    return Section(
        title="Core and spurious",
        about=f"{said}Where what speaks for a picture lies: the heat map of its active discriminative features "
        f"(Grad-CAM at {energy.place}, {energy.side[0]} × {energy.side[1]} places), against the exact mask of {what}, "
        "the core; all else is spurious. Energy is the share of the heat on the core. Compare it with the share of the "
        "picture that is core (a map without any place) and with the mask of another picture (a map that only knows "
        "where objects usually are). IoU is that of the source, of the area above half of the largest heat; soft IoU "
        "has no threshold. Intervals are over groups.",
        charts=(BarChart(title="Heat on the core", y="energy", bars=tuple(bars)),) if bars else (),
        table=tuple(lines), pictures=_pictures(energy, found, defined),
    )  # fmt: skip


def energy_levels_section(
    energy: ObjectEnergy, features: Features, label: str, factors: Sequence[str] | None, found: Scored
) -> list[Section]:
    """Return one section: energy on the core at each level of each factor; none where no level has enough pictures."""
    defined = np.isfinite(energy.regions.core)
    test = energy.test[defined]
    lines: list[dict[str, Cell]] = []
    for name, level, mine in by_level(features, factors, found.rows[test], (label, found.parts.by)):
        groups = found.groups[test][mine]
        own = _mean(energy.regions.core[defined][mine], groups)
        lines.append(
            {
                "factor": plain(name), "level": level, "energy on the core %": own[0], "low %": own[1],
                "high %": own[2], "mask of another %": float(energy.exchanged[defined][mine].mean()),
                "area of the core %": float(energy.regions.area[defined][mine].mean()), "n": int(mine.sum()),
                "groups": len(np.unique(groups)),
            }
        )  # fmt: skip
    if not lines:
        return []
    about = "At which level of which factor the features look elsewhere: the same energy, with its controls."
    return [Section(title="Core energy by factor", about=about, table=tuple(lines))]


def _by_answer(
    energy: ObjectEnergy, found: Scored, defined: NDArray[np.bool_]
) -> tuple[list[dict[str, Cell]], list[Bar]]:
    right = found.right[energy.test]
    lines: list[dict[str, Cell]] = []
    bars = []
    for name, mine in (("all", defined), ("right", defined & right), ("wrong", defined & ~right)):
        if not mine.any():
            continue
        groups = found.groups[energy.test][mine]
        own = _mean(energy.regions.core[mine], groups)
        line: dict[str, Cell] = {
            "the probe is": name, "energy on the core %": own[0], "low %": own[1], "high %": own[2],
            "spurious energy %": 1 - own[0], "mask of another %": _mean(energy.exchanged[mine], groups)[0],
        }  # fmt: skip
        for field in fields(Regions)[1:]:
            line[_NAMES[field.name]] = float(getattr(energy.regions, field.name)[mine].mean())
        lines.append(line | {"n": int(mine.sum()), "groups": len(np.unique(groups))})
        bars.append(Bar(name=name, value=own[0], low=own[1], high=own[2], group="own mask"))
        if name == "all":
            for title, values in (("mask of another", energy.exchanged), ("area of the core", energy.regions.area)):
                of = _mean(values[mine], groups)
                bars.append(Bar(name=title, value=of[0], low=of[1], high=of[2], group="control"))
    return lines, bars


_NAMES = {
    "area": "area of the core %", "overlap_core": "IoU core %", "overlap_spurious": "IoU spurious %",
    "soft_core": "soft IoU core %", "soft_spurious": "soft IoU spurious %",
}  # fmt: skip


def _mean(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float, float]:
    of = mean_interval(values, np.unique(groups, return_inverse=True)[1], Intervals(), (0.0, 1.0))
    return of.mean, of.low, of.high


def _pictures(energy: ObjectEnergy, found: Scored, defined: NDArray[np.bool_]) -> tuple[ImageRow, ...]:
    places = np.flatnonzero(defined)
    order = places[np.argsort(energy.regions.core[places], kind="stable")]
    rows = []
    for label, some in (("least on the core", order[:_SHOWN]), ("most on the core", order[::-1][:_SHOWN])):
        shown = tuple(EncodedImage(data=thumbnail(Image.fromarray(energy.overlays[k]))) for k in some)
        right = found.right[energy.test]
        captions = tuple(f"{energy.regions.core[k]:.0%}, {'right' if right[k] else 'wrong'}" for k in some)
        rows.append(ImageRow(label=label, inputs=(), samples=shown, captions=captions))
    return tuple(rows)
