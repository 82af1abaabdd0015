"""Records that were written before they had schema versions, in the shape of version 1.

Only here do names stand that such records have; what they never kept has the defaults of its record.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchmultiverse.documents import renamed
from torchmultiverse.errors import DatasetError

_Object = dict[str, Any]


def probe_results(data: _Object) -> _Object:
    """Return what probes read at the layers of a model."""
    data = renamed(data, reaches="accuracies")
    data["accuracies"] = [renamed(one, grouped="group_column", chosen="hyperparameters") for one in data["accuracies"]]
    data["cuts"] = [renamed(one, corrected="corrected_p", above="above_chance") for one in data["cuts"]]
    data["levels"] = [renamed(one, pictures="images") for one in data.get("levels", ())]
    return data


def sample_evaluation(data: _Object) -> _Object:
    """Return what a decoder shows of a layer."""
    data = renamed(data, faithfulness="fidelity", kept="factors", realism="quality")
    data["fidelity"] = {**data["fidelity"], "ranks": data.pop("ranks")}
    data["factors"] = [
        renamed(one, kept="accuracy", real="real_accuracy", probe="probe_accuracy") for one in data["factors"]
    ]
    data["quality"] = renamed(
        data["quality"], judge="evaluator", score="inception_score", score_spread="inception_score_std",
        score_real="inception_score_real", drawn="samples", real="real_images",
    )  # fmt: skip
    return data


_EXPERIMENTS = {"certainty": "confidence"}
_COLUMNS = {
    "picture": "image", "pictures": "images", "from %": "low %", "to %": "high %", "read rightly %": "accuracy %",
    "mean certainty %": "mean confidence %",
}  # fmt: skip


def experiments(data: _Object) -> _Object:
    """Return experiments with a decoder; their pictures and texts were not kept."""
    data = renamed(data, decoder="config", studies="experiments")
    data["experiments"] = [
        {
            "name": _EXPERIMENTS.get(name, name),
            "title": name.capitalize(),
            "table": [renamed(row, **_COLUMNS) for row in rows],
        }
        for name, rows in data["experiments"].items()
    ]
    return data


def memorization(data: _Object) -> _Object:
    """Return what was memorized."""
    data = renamed(
        data, a="target_model", b="reference_model", mode="removal", asked="images", ties="associations",
        answers="inferences", drawn="reconstruction",
    )  # fmt: skip
    data["layers"] = [_layer(one) for one in data["layers"]]
    data["associations"] = [renamed(one, strength="cramers_v") for one in data["associations"]]
    data["membership"] = {
        name: renamed(one, caught="true_positive_rate", strangers="non_members")
        for name, one in data["membership"].items()
    }
    if data["reconstruction"]:
        data["reconstruction"] = renamed(
            data["reconstruction"], target="target_accuracy", reference="reference_accuracy", pictures="images",
            each="samples_per_image",
        )  # fmt: skip
    data["classes"] = [
        renamed(one, pictures="images", target="accuracy", reference="reference_accuracy")
        for one in data.get("classes", ())
    ]
    data["inferences"] = [
        renamed(one, set="split", target="prediction", reference="reference_prediction", target_confidence="confidence")
        for one in data.get("inferences", ())
    ]
    return data


def _layer(data: _Object) -> _Object:
    score, controls = data["score"], data["controls"]
    score = renamed(score, top5="top5_score", pictures="images")
    score["scores"] = [_score(one) for one in score["scores"]]
    controls = renamed(controls, shuffled="shuffled_accuracy", swapped="swapped_score")
    controls["held_out"] = controls["held_out"] and _score(controls["held_out"])
    return {**data, "score": score, "controls": controls}


def _score(data: _Object) -> _Object:
    return renamed(data, share="fraction", target="target_accuracy", reference="reference_accuracy", answers="images")


def memorization_tables(folder: Path) -> _Object:
    """Return the tables by class and by picture, which lay beside the record alone.

    Raises:
        DatasetError: a table that cannot be read.
    """
    tables = {"classes": folder / "classes.csv", "answers": folder / "answers.csv"}
    try:
        return {name: _rows(path) for name, path in tables.items() if path.is_file()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{folder}: a table of the record cannot be read: {error}") from None


def _rows(path: Path) -> list[_Object]:
    texts = {"label", "set", "target", "reference"} if path.name == "answers.csv" else {"label"}
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {name: cell if name in texts else float(cell) for name, cell in row.items()} for row in csv.DictReader(file)
        ]


def sweep(data: _Object) -> _Object:
    """Return how memorization depends on one setting."""
    data = renamed(data, probed="probes")
    data["points"] = [renamed(one, score20="top20_score") for one in data["points"]]
    data["probes"] = [renamed(one, learnt="train_accuracy", unseen="public_accuracy") for one in data["probes"]]
    return data


def sweep_of_images(data: _Object) -> _Object:
    """Return a sweep whose variable was called ``pictures``."""
    return {**data, "vary": "images"} if data["vary"] == "pictures" else data


def misalignment(data: _Object) -> _Object:
    """Return the gaps of several trainings."""
    recipes = [
        {"name": one["name"], "label": one["label"], "settings": _without(one, "name", "label")}
        for one in data["recipes"]
    ]
    gaps = [
        [renamed(_without(gap, "recipe"), above="above_chance") for gap in data["gaps"] if gap["recipe"] == one["name"]]
        for one in recipes
    ]
    return {"dataset": data["dataset"], "recipes": recipes, "gaps": gaps}


def analysis(data: _Object) -> _Object:
    """Return all that was asked of a representation."""
    data = renamed(
        data, depths="probing", shapes="geometry", alike="similarity", portraits="samples", studies="experiments",
        memory="memorization",
    )  # fmt: skip
    parts = {"probing": probe_results, "experiments": experiments, "memorization": memorization}
    data |= {name: data[name] and migrate(data[name]) for name, migrate in parts.items()}
    data["dataset"] = renamed(data["dataset"], pictures="images")
    data["geometry"] = [renamed(one, responses="sensitivities", gap="information_gap") for one in data["geometry"]]
    data["budgets"] = [renamed(one, share="fraction") for one in data["budgets"]]
    data["samples"] = [sample_evaluation(one) for one in data["samples"]]
    return data


def _without(data: Mapping[str, Any], *names: str) -> _Object:
    return {name: value for name, value in data.items() if name not in names}
