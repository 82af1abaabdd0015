"""Probes by layer on planted stacks: what is erased at which depth must be read off exactly there.

What could silently be wrong: a probe that learns the asset instead of the factor, hyper-parameters chosen on the test,
a best cut that is best by luck, layers ranked by the scale of their numbers, or a headline about the largest of many
differences that are all chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchmultiverse.analyze.analysis import sampled_layers
from torchmultiverse.analyze.layer_accuracy import label_budgets, layer_gaps, probe_layers
from torchmultiverse.analyze.probes import PROBES, ProbeData, ridge
from torchmultiverse.analyze.splits import factor_target, split
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.extract import Features
from torchmultiverse.report.analysis import _headline, _summary


def stack(layers: dict[str, NDArray[Any]], columns: dict[str, NDArray[Any]]) -> Features:
    count = len(next(iter(columns.values())))
    return Features(
        "planted", "toy", {k: v.astype(np.float32) for k, v in layers.items()}, columns, np.arange(count), {}
    )


def planted(count: int = 1200, seed: int = 0) -> Features:
    """World and texture in the trunk, texture weakened at head1 and gone at head2; an asset that says neither."""
    rng = np.random.default_rng(seed)
    world, texture, asset = rng.integers(0, 10, count), rng.integers(0, 4, count), rng.integers(0, 40, count)
    a, b, c = rng.normal(size=(10, 24)), rng.normal(size=(4, 24)), rng.normal(size=(40, 24))

    def layer(texture_weight: float, scale: float) -> NDArray[Any]:
        return scale * (a[world] + texture_weight * b[texture] + 0.5 * c[asset] + 0.5 * rng.normal(size=(count, 24)))

    words = {
        "world_name": np.array([f"world {w}" for w in world], object),
        "character_texture": np.array([f"texture {t}" for t in texture], object),
        "character_name": np.array([f"animal {k}" for k in asset], object),
    }
    return stack({"trunk": layer(1.0, 1.0), "head1": layer(0.25, 1e3), "head2": layer(0.0, 1e-3)}, words)


def test_a_factor_is_lost_where_it_was_erased() -> None:
    found = probe_layers(planted(), ["world_name", "character_texture"], ["logistic"], quiet=True)
    world, texture = ([one.score for one in found.curve(f, "logistic")] for f in ("world_name", "character_texture"))
    assert min(world) > 0.95
    assert texture[0] > 0.9 > texture[1] > 0.4
    last = found.curve("character_texture", "logistic")[-1]
    assert last.low <= 0.25 <= last.high
    cut = {cut.factor: cut for cut in found.cuts}
    assert cut["character_texture"].best == "trunk"
    assert cut["character_texture"].tied == ("trunk",)
    assert cut["character_texture"].cost_low > 0.4
    assert len(cut["world_name"].tied) == 3
    assert found.accuracies[0].group_column == "character_name"


@pytest.mark.parametrize("probe", list(PROBES))
def test_every_probe_reads_what_is_there_and_nothing_of_shuffled_labels(probe: str) -> None:
    features = planted()
    rng = np.random.default_rng(1)
    columns = {**features.columns, "shuffled": rng.permutation(features.columns["world_name"])}
    mixed = stack(dict(features.layers), columns)
    found = probe_layers(mixed, ["world_name", "shuffled"], [probe], quiet=True)
    assert all(one.score > 0.9 for one in found.curve("world_name", probe))
    assert all(one.low <= 1 / 10 <= one.high for one in found.curve("shuffled", probe))


def test_a_probe_cannot_learn_the_asset() -> None:
    """Each asset has one texture nearly always, and features know the asset alone: rows leak, groups do not."""
    rng = np.random.default_rng(0)
    asset = rng.integers(0, 60, 2400)
    usual = rng.integers(0, 2, 60)
    texture = np.where(rng.random(2400) < 0.95, usual[asset], 1 - usual[asset])
    vectors = rng.normal(size=(60, 64))[asset] + 0.1 * rng.normal(size=(2400, 64))
    columns = {"character_name": asset.astype(str).astype(object), "texture": texture}
    honest = probe_layers(stack({"trunk": vectors}, columns), ["texture"], quiet=True).accuracies[0]
    leaking = probe_layers(stack({"trunk": vectors}, columns), ["texture"], by="rows", quiet=True).accuracies[0]
    assert leaking.score > 0.9
    assert honest.low <= 0.55
    assert honest.score < 0.75


def test_groups_are_in_one_part_only_and_all_levels_are_trained() -> None:
    features = planted()
    for factor in ("world_name", "character_texture", "character_name"):
        what = factor_target(features.columns, factor)
        parts = split(features.columns, what, np.random.default_rng(0))
        together = np.concatenate([parts.train, parts.validation, parts.test])
        assert sorted(together) == list(range(len(features)))
        groups = [set(parts.groups[part]) for part in (parts.train, parts.validation, parts.test)]
        assert len(set.union(*groups)) == sum(map(len, groups))
        assert parts.by == ("world_name" if factor == "character_name" else "character_name")
        assert set(what.codes[parts.train]) == set(range(len(what.levels)))
    with pytest.raises(DatasetError, match="one level of it"):
        split(features.columns, factor_target(features.columns, "world_name"), np.random.default_rng(0), "world_name")


def test_the_scale_of_a_layer_and_the_order_of_layers_change_nothing() -> None:
    features = planted()
    one = probe_layers(features, ["world_name"], quiet=True)
    swapped = {name: features.layers[name] * np.float32(1000) for name in features.layers}
    two = probe_layers(stack(swapped, dict(features.columns)), ["world_name"], quiet=True)
    assert [a.score for a in one.accuracies] == pytest.approx([b.score for b in two.accuracies], abs=0.005)


def test_numbers_are_regressed_and_angles_are_round() -> None:
    rng = np.random.default_rng(0)
    angle, scale = rng.uniform(-180, 180, 900), rng.uniform(0.5, 2, 900)
    radians = np.deg2rad(angle)
    known = np.stack([np.sin(radians), np.cos(radians), scale], 1) @ rng.normal(size=(3, 16))
    columns = {"camera_yaw": angle, "character_scale": scale}
    found = probe_layers(stack({"known": known, "noise": rng.normal(size=(900, 16))}, columns), quiet=True)
    for factor in columns:
        curve = found.curve(factor, "ridge")
        assert curve[0].score > 0.99
        assert curve[0].low <= curve[0].score <= curve[0].high
        assert abs(curve[1].score) < 0.1
        assert [cut.best for cut in found.cuts] == ["known", "known"]


def test_fewer_labels_read_less() -> None:
    found = label_budgets(planted(), "character_texture", ["trunk"], (0.02, 0.2, 1.0), quiet=True)
    scores = [found[fraction].accuracies[0].score for fraction in (0.02, 0.2, 1.0)]
    assert scores[0] < scores[1] <= scores[2]
    assert found[0.02].accuracies[0].train < 20
    fewer = probe_layers(planted(), ["character_texture"], train=3, quiet=True)
    assert fewer.accuracies[0].train == 12


def test_ridge_is_what_the_normal_equations_give() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 5)), rng.normal(size=(200, 1))
    data = ProbeData(x[:120].astype(np.float32), x[120:160].astype(np.float32), x[160:].astype(np.float32),
                y[:120], y[120:160], 0)  # fmt: skip
    reading = ridge(data, rng)
    mean, spread = x[:120].mean(0), x[:120].std(0)
    z = (x - mean) / spread
    penalty = reading.hyperparameters["penalty"] * 120
    weight = np.linalg.solve(z[:120].T @ z[:120] + penalty * np.eye(5), z[:120].T @ (y[:120] - y[:120].mean()))
    np.testing.assert_allclose(reading.prediction, z[160:] @ weight + y[:120].mean(), atol=1e-4)


def test_no_headline_of_what_is_chance() -> None:
    """Eight factors that no layer knows, by ten layers: some are ahead of the last by luck, and it means nothing."""
    luck = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        count = 400
        columns: dict[str, NDArray[Any]] = {f"factor{k}": rng.integers(0, 4, count).astype(str) for k in range(8)}
        columns = {name: values.astype(object) for name, values in columns.items()}
        layers = {f"layer{k}": rng.normal(size=(count, 8)) for k in range(10)}
        found = probe_layers(stack(layers, columns), probes=["knn"], quiet=True)
        text = _headline(found)
        luck.append(max(cut.cost for cut in found.cuts))
        assert not any(cut.lost for cut in found.cuts)
        assert "any layer significantly better" in text
        assert "Not surely read above chance: factor0" in text
        assert sampled_layers(found) == ["layer9"]
    assert max(luck) > 0.05, "the simulation has no luck worth the name"


def changed(record: Any, **fields: Any) -> Any:
    return record.model_copy(update=fields)


def test_the_headline_says_what_the_charts_say() -> None:
    """By the second probe the last layer is worse; charts speak of the first, and so must the headline."""
    found = probe_layers(planted(), ["world_name", "character_texture"], ["logistic"], quiet=True)
    world, texture = (one for one in found.cuts)
    assert "not the best place to read character texture:" in _headline(found)
    second = changed(world, probe="knn", best="trunk", cost=0.3, cost_low=0.2, cost_high=0.4, corrected_p=0.0)
    ended = changed(world, best="head2", cost=0.0)
    both = changed(found, cuts=(ended, second, texture))
    assert "not the best place to read character texture:" in _headline(both)
    assert _summary(ended) == "best at the end (head2)"
    # What is not sure when all factors are taken together is not said as a difference anywhere.
    unsure = changed(second, corrected_p=0.2)
    assert "is not sure" in _summary(unsure)
    assert "any layer significantly better" in _headline(changed(found, cuts=(unsure,)))
    assert _summary(changed(second, above_chance=False)) == "not surely read above chance at any layer"


def test_what_is_asked_of_three_groups_has_no_interval() -> None:
    """Twelve animals leave two or three in the test: their numbers move by tens of points with the animals drawn."""
    features = planted(240)
    columns = {**features.columns, "character_name": np.array([f"a{k % 10}" for k in range(240)], object)}
    found = probe_layers(stack(dict(features.layers), columns), ["character_texture"], quiet=True)
    (cut,) = found.cuts
    assert cut.groups < 4
    assert (cut.cost_low, cut.cost_high, cut.lost) == (-1, 1, False)
    (gap,) = layer_gaps(stack(dict(features.layers), columns), ["character_texture"], quiet=True)
    assert (gap.low, gap.high, gap.p) == (-1, 1, 1)


def test_what_cannot_be_asked_is_summary() -> None:
    features = planted()
    with pytest.raises(ModelError, match=r"no probe 'logstic'.*logistic"):
        probe_layers(features, probes=["logstic"])
    with pytest.raises(DatasetError, match="no column 'wrld'"):
        probe_layers(features, ["wrld"])
    few = stack({"a": np.zeros((12, 3))}, {"label": np.array(list("abcdefghijkk"), object)})
    with pytest.raises(DatasetError, match=r"'label' (are|varies)|so few"):
        probe_layers(few, ["label"], quiet=True)
