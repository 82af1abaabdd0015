"""What the golden values are made of: the same functions record them (``renew.py``) and are held against them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import reach
from values import RECORDS, Hashed, Logits, Pairs, digest, files, plain

# Datasets that are rendered now

PLAIN = {
    "name": "plain",
    "family": "Custom",
    "seed": 7,
    "render": {"size": [32, 32], "passes": ["rgb", "mask", "depth", "normals"]},
    "splits": {"test": ["World_Name = Snow"], "validation": ["Camera_Yaw = 45 and World_Name = Desert"]},
    "design": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["Desert", "Snow"],
            "Character_Name": ["Zebra", "Camel"],
            "Camera_Yaw": [0, 45, 90],
            "Character_Scale": [0.7, 1.0],
        },
    },
}
"""A spec of three splits: a dataset of format 2."""
_SPAR = (
    "world_name in (Desert, Museum) and character_name in (blank, Camel, Zebra) and character2_name in (blank, Camel)"
)
DATASETS: dict[str, tuple[Any, str | None, int]] = {
    "animals": (
        "animals",
        "world_name in (Desert, Snow) and character_name in (Elephant, Zebra, Camel) and camera_yaw in (0, 45) and "
        "character_texture in (Default, Grass)",
        72,
    ),
    "animals_anywhere": ("animals_anywhere", None, 10),
    "imagenet": ("imagenet", "character_label in (Fox, Elephant, Airliner) and world_name in (Desert, Egypt)", 60),
    "imagenet_animals": ("imagenet_animals", "character_label in (Zebra, Elephant)", 60),
    "one_at_a_time": ("one_at_a_time", None, 20),
    "spar": ("spar", _SPAR, 96),
    "ar4t_attributes": ("animal_attributes", "Level in (Arena, Beach) and Actor1Category in (Lion, Zebra)", 40),
    "ar4t_relations": ("animal_relations", "Level in (Arena, Beach)", 300),
    "plain": (PLAIN, None, 100),
}
"""Of each: its spec, which scenes, and how many at most."""


def render_all(out: Path) -> None:
    """Render all small datasets."""
    for name, (spec, where, limit) in DATASETS.items():
        reach.render(spec, out / name, where=where, limit=limit)


def dataset_values(dataset: Path) -> dict[str, Any]:
    """What is recorded of a dataset: what its files hold, and what its manifest says."""
    said = reach.manifest(dataset)
    whole = {key: digest(said.pop(key)) for key in ("counts", "identity")}
    return {**files(dataset), "sha256": reach.file_hashes(dataset), "manifest": {**plain(said), **whole}}


# Scene ids

MOST = 1000


def spec_values(name: str) -> dict[str, Any]:
    """Number of scenes of a shipped spec, and a hash of their ids: of all, or of every so many-th and the last."""
    ids = reach.scene_ids(name)
    stride = 1 if len(ids) <= 5000 else len(ids) // MOST
    chosen = [ids[index] for index in range(0, len(ids), stride)] + [ids[len(ids) - 1]]
    return {"scenes": len(ids), "stride": stride, "first": chosen[0], "ids": digest(chosen)}


# Scores

SCORED: dict[str, tuple[str, ...]] = {
    "spar": ("spar",),
    "spar_pug2023": ("spar",),
    "classification": ("animals", "imagenet_animals"),
    "factors": ("animals",),
    "imagenet_pug2023": ("imagenet",),
    "ar4t": ("ar4t_relations", "ar4t_attributes"),
}
"""Of each protocol that comes with the package: the datasets that it is held on."""
PLANTED = {"aro_relation", "aro_attribution", "aro_order", "winoground", "minimal_pairs"}
"""Protocols of photographs, and of pairs that none of the datasets here has: planted models hold their numbers in
``tests/evaluation``."""


def score_values(datasets: Path, protocol: str) -> dict[str, Any]:
    """What is recorded of a protocol: of each dataset and model the numbers of the table and of the pictures."""
    found = {}
    for dataset in SCORED[protocol]:
        models: list[Any] = [Hashed(), Pairs()]
        if protocol != "ar4t":  # a classifier reads no captions
            models.append(Logits())
        if protocol != "imagenet_pug2023":
            captions = [str(row["caption"]) for row in reach.rows(datasets / dataset)] if dataset != "animals" else None
            models.append(reach.colours(datasets / dataset, captions))
        for model in models:
            found[f"{dataset} {model.info.name}"] = _scores(reach.evaluate(datasets / dataset, model, protocol))
    return found


def _scores(result: dict[str, Any]) -> dict[str, Any]:
    """Numbers in full of what is not broken down by a factor; of the rest a hash of counts and sums of what is none."""
    full, counts, sums = {}, [], np.zeros(3)
    for (_, *key), numbers in sorted(result["table"], key=lambda row: row[0]):
        if key[-2] == "all":
            assert "|".join(key) not in full
            full["|".join(key)] = [plain(number) for number in numbers.values()]
        exact = [numbers[name] for name in ("n", "clusters", "candidates", "correct")]
        counts.append([key, exact])
        sums += np.nan_to_num([float(numbers[name] or 0) for name in ("accuracy", "low", "high")])
    rows = sorted(result["rows"], key=lambda row: (row[0], row[1]["index"]))
    exact_rows = [[key[1:], exact] for key, exact, _ in rows]
    floats = np.nan_to_num([list(numbers.values()) for _, _, numbers in rows]).sum(0)
    return {
        "table": full,
        "cells": len(counts),
        "counts": digest(counts),
        "sums": plain(sums.tolist()),
        "pictures": len(rows),
        "answers": digest(exact_rows),
        "margins": plain(floats.tolist()),
    }


# Kept features


def installed(packages: list[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hashed(how: dict[str, Any]) -> str:
    """Return the name of the folder of a way of encoding."""
    text = json.dumps(how, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_of(how: dict[str, Any], packages: list[str]) -> str:
    """Return the same with the packages that are installed here."""
    return hashed({**how, "packages": installed(packages)})


def module() -> Any:
    """Return a PyTorch module of two layers with fixed weights, which counts the pictures that it sees."""
    import torch

    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = torch.nn.Conv2d(3, 4, 8, 8)
            self.head = torch.nn.Linear(4, 16)
            self.shown = 0
            with torch.no_grad():
                for tensor in self.parameters():
                    tensor.copy_((torch.arange(tensor.numel()) % 7 - 3).reshape(tensor.shape) / 8)

        def forward(self, images: Any) -> Any:
            self.shown += len(images)
            return self.head(self.stem(images).mean((2, 3)))

    return Counting()


def keep_features(dataset: Any, kept: Path) -> tuple[int, dict[str, Any]]:
    """Encode a dataset, whatever is not kept; returns how many pictures and texts models were shown, and results."""
    pair, network = Hashed("a" * 64), module()
    scores = _scores(reach.evaluate(dataset, pair, "classification", kept=kept))
    layers = reach.layer_features(reach.model_of(network, "network"), dataset, ["stem", "head"], kept)
    return pair.shown + network.shown, {
        "scores": scores,
        "layers": {name: plain(found.sum(1).tolist()) for name, found in layers.items()},
    }


def kept_values(kept: Path) -> dict[str, Any]:
    """What is recorded of kept features: how they were made, by the folders' own words, and of which pictures."""
    found = {}
    for file in sorted(kept.glob("*/encoder.json")):
        how = json.loads(file.read_text())
        packages = how.pop("packages")
        arrays = sorted(file.parent.glob("*.npy"))
        pictures = np.concatenate([np.load(f) for f in arrays if f.name.endswith(".pictures.npy")])
        vectors = np.concatenate([np.load(f) for f in arrays if f.name.endswith(".vectors.npy")])
        found[f"{how['name']} {how['output']}"] = {
            "how": how,
            "pictures": digest(sorted(bytes(one).hex() for one in pictures)),
            "shape": list(vectors.shape),
            "dtype": str(vectors.dtype),
            "sum": plain(float(np.abs(vectors).sum())),
            "packages": sorted(packages),
        }
    return found


def adapter_values() -> dict[str, Any]:
    """Return, of each adapter and output, the name of the folder in which it is kept."""
    return {
        f"{name}: {output}": reach.kept_in(model, output)
        for name, (model, outputs) in reach.adapters().items()
        for output in outputs
    }


ADAPTERS = {
    "open_clip": "ClipModel",
    "transformers, image-text": "TransformersDual",
    "classifier": "ModuleClassifier",
    "classifier with a background class": "WithoutBackground",
    "encoder": "ModuleEncoder",
    "self-supervised encoder": "SslEncoder",
    "given image-text": "_ImageText",
    "given encoder": "_Encoder",
    "given classifier": "_Classifier",
}
"""What kept features say of the adapter that made them: part of their key, so it stays whatever a class is called."""


def moved(kept: Path, out: Path, packages: list[str]) -> Path:
    """Copy kept features as if the packages that are installed here had made them."""
    for file in kept.glob("*/encoder.json"):
        how = json.loads(file.read_text())
        name = {key: value for key, value in how.items() if key not in ("packages", "name")}
        shutil.copytree(file.parent, out / key_of(name, packages))
    return out


def picture_folder(dataset: Path, out: Path) -> Path:
    """Write the pictures of a dataset into folders of classes."""
    for index, row in enumerate(reach.rows(dataset)):
        folder = out / str(row["character_name"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:03d}.png").write_bytes(row["image"])
    return out


# Records: datasets that earlier code wrote

SMALL = {
    "name": "small",
    "family": "Animals",
    "design": {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra", "Camel"], "Camera_Yaw": [0, 90]},
    },
}
SPLIT = {**SMALL, "name": "split", "splits": {"test": ["World_Name = Snow"]}}
ANNOUNCED = {
    **SMALL,
    "name": "announced",
    "design": {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra", "Camel"], "Camera_Yaw": [0, 45, 90]},
    },
}
SPECS = {"format1": SMALL, "format2": SPLIT, "recording": SMALL, "announced": ANNOUNCED}
UNFINISHED = {"SMALL": (3, (7, 2, 1)), "SPLIT": (3, (7, 2, 1)), "ANNOUNCED": (1, (9, 9, 0))}
"""Rows of a shard; and when the process died: after so many pictures, with so many shards written and rows waiting."""
COMPLETE = ("format1", "format2", "recording", "hub", "splits_before_format2")
"""Records that are whole datasets."""


def record_values(name: str) -> dict[str, Any]:
    """What is recorded of a record: what its reader gives."""
    rows = reach.rows(RECORDS / name)
    said = plain(reach.manifest(RECORDS / name))
    return {
        "rows": len(rows),
        "columns": {column: digest([row[column] for row in rows]) for column in rows[0]},
        "pixels": digest([array.tobytes() for array in reach.pixels(RECORDS / name)]),
        "manifest": {**said, "counts": digest(said["counts"]), "identity": digest(said["identity"])},
    }
