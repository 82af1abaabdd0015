"""Records with what makes a page too wide: six models with long names, long levels, many factors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from planted import Planted, Tagged, spar_rows

from torchmultiverse.evaluation import Result, evaluate
from torchmultiverse.evaluation.imagenet import class_map
from torchmultiverse.models import as_model
from torchmultiverse.scenes.factors import LIGHTS
from torchmultiverse.store import ImageList

MODELS = (
    "timm:vit_base_patch16_clip_224.laion2b_ft_in12k_in1k/random",
    "timm:vit_base_patch16_clip_384.laion2b_ft_in12k_in1k/random",
    "timm:convnext_xxlarge.clip_laion2b_soup_ft_in1k/random",
    "open_clip:ViT-B-32/random",
    "open_clip:RN50/random",
    "small",
)
"""Names as model strings are, two that differ in the middle of a long name, and an alias."""
WORLDS = ("AncientEgypt_180", "BusStationInterior", "FuturisticSubway", "SaltFlats", "Museum")
ANIMALS = ("African_elephant", "great_white_shark", "black_footed_ferret", "hippopotamus", "zebra", "goldfish")


def picture(index: int) -> Image.Image:
    """Return a picture that says which one it is by its colour."""
    return Image.new("RGB", (48, 48), (index // 256, index % 256, 90))


@cache
def classification() -> Result:
    """Return six classifiers' answers to 360 pictures: four of ImageNet's classes, two that name the animals alone."""
    design = product(WORLDS, ANIMALS, (0, 45, 315), list(LIGHTS.values())[:2], ("Default", "TropicalFishScales"))
    rows = [
        {"world_name": w, "character_name": a, "character_label": a, "camera_yaw": yaw, "scene_light": light,
         "character_texture": texture, "character_scale": 0.5 + k % 4 / 4, "camera_pitch": (240, 300, 0)[k % 3],
         "scene_id": f"{k:032x}"}
        for k, (w, a, yaw, light, texture) in enumerate(design)
    ]  # fmt: skip
    images = [picture(k) for k in range(len(rows))]
    fails: tuple[Callable[[Any], bool], ...] = (
        lambda row: False,
        lambda row: row["scene_light"] != LIGHTS["white"],
        lambda row: row["world_name"] == "FuturisticSubway",
        lambda row: row["camera_yaw"] == 315,
        lambda row: row["character_texture"] != "Default",
        lambda row: row["world_name"] != "Museum",
    )
    known = class_map(ANIMALS)

    def of(place: int) -> Any:
        named, rng = place >= 4, np.random.default_rng(place)
        slips = rng.random(len(rows)) < 0.1 * (place + 1)
        # Among ImageNet's outputs a failure is any class: most are none of the question's.
        wrong = rng.integers(0, len(ANIMALS) if named else 1000, len(rows))

        def logits(batch: Any) -> np.ndarray:
            found = np.zeros((len(batch), len(ANIMALS) if named else 1000), np.float32)
            for at, image in enumerate(batch):
                red, green, _ = image.getpixel((0, 0))
                k = red * 256 + green
                name = rows[k]["character_label"]
                right = ANIMALS.index(name) if named else known[name][0]
                found[at, wrong[k] if slips[k] or fails[place](rows[k]) else right] = 2 + k % 5
            return found

        return as_model(logits, name=MODELS[place], classes=ANIMALS if named else None)

    pictures = ImageList(images, rows, "Six models on a dataset with a long name")
    return evaluate(pictures, [of(place) for place in range(6)], "classification", quiet=True)


def captions() -> Result:
    """Return six caption models' answers to the questions of PUG: SPAR."""
    pictures = Tagged(spar_rows(animals=("Elephant", "Goldfish", "Penguin")))
    sees = (["world", "animals"], ["world"], ["animals"], ["world", "animals"], [], ["animals"])
    models = [Planted(pictures, name, facts) for name, facts in zip(MODELS, sees, strict=True)]
    return evaluate(pictures, models, quiet=True)
