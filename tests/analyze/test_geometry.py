"""Geometry on representations whose shape is known in closed form.

What could silently be wrong: a rank of padded zeros, a similarity that sees rotation or scale, pairs that differ in
more than the factor, or an information gap that favours fine bins.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.analyze import geometry as g
from torchmultiverse.features.extract import Features


@pytest.mark.parametrize("rank", [1, 8, 32])
def test_rank_is_that_of_the_plane_the_features_lie_in(rank: int) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(64, rank)))[0]
    vectors = (np.linalg.qr(rng.normal(size=(2000, rank)))[0] @ basis.T).astype(np.float32)
    assert g.rank_me(vectors) == pytest.approx(rank, rel=0.01)
    assert g.effective_rank(vectors) == pytest.approx(rank, rel=0.02)
    assert g.rank_me(vectors[:40]) <= 40


def test_similarity_does_not_see_rotation_scale_or_shift() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(500, 20)).astype(np.float32)
    turned = (3 * one @ np.linalg.qr(rng.normal(size=(20, 20)))[0] + 5).astype(np.float32)
    assert g.linear_cka(one, turned) == pytest.approx(1, abs=1e-5)
    assert g.linear_cka(one, rng.normal(size=(500, 20)).astype(np.float32)) < 0.1
    wide = rng.normal(size=(60, 500)).astype(np.float32)  # more features than pictures: by kernels
    narrow = wide[:, :50]
    centred = [v - v.mean(0) for v in (wide, narrow)]
    direct = np.linalg.norm(centred[1].T @ centred[0]) ** 2 / (
        np.linalg.norm(centred[0].T @ centred[0]) * np.linalg.norm(centred[1].T @ centred[1])
    )
    assert g.linear_cka(wide, narrow) == pytest.approx(float(direct), rel=1e-4)
    matrix = g.cka_matrix({"a": one, "b": turned[:, :5]})
    assert matrix.shape == (2, 2)
    assert matrix[0, 1] == pytest.approx(matrix[1, 0])


def test_few_images_of_many_features_are_not_alike_by_chance() -> None:
    """Unrelated features of 60 images: the plain similarity nears 1, the debiased one is 0 within its error."""
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(20):
        one, two = rng.normal(size=(2, 60, 600)).astype(np.float32)
        plain.append(g.linear_cka(one, two))
        debiased.append(g.debiased_cka(one, two))
    assert min(plain) > 0.85
    assert abs(np.mean(debiased)) < 0.02
    # Half of the features are shared: the similarity of the kernels is 1/2 whatever the number of images.
    for images in (60, 400):
        shared, mine, theirs = rng.normal(size=(3, images, 300)).astype(np.float32)
        found = g.debiased_cka(np.concatenate([shared, mine], 1), np.concatenate([shared, theirs], 1))
        assert found == pytest.approx(0.5, abs=0.04)
    turned = (3 * one @ np.linalg.qr(rng.normal(size=(600, 600)))[0] + 5).astype(np.float32)
    assert g.debiased_cka(one, turned) == pytest.approx(1, abs=1e-4)
    assert g.debiased_cka(one[:3], two[:3]) == 0


def test_the_debiased_similarity_is_that_of_its_equation() -> None:
    """Both ways to compute it against the kernels of all pairs written out."""
    rng = np.random.default_rng(1)
    for images, features in ((12, 40), (40, 12)):
        one, two = rng.normal(size=(2, images, features))
        kernels = [(v - v.mean(0)) @ (v - v.mean(0)).T for v in (one, two)]
        for kernel in kernels:
            np.fill_diagonal(kernel, 0)

        def hsic(k: np.ndarray, m: np.ndarray, n: int = images) -> float:
            ones = np.ones(n)
            both = np.trace(k @ m) + ones @ k @ ones * (ones @ m @ ones) / ((n - 1) * (n - 2))
            return float((both - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3)))

        k, m = kernels
        expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
        assert g.debiased_cka(one.astype("f4"), two.astype("f4")) == pytest.approx(expected, abs=1e-4)


def test_alignment_and_uniformity_as_their_equations_say() -> None:
    vectors = np.array([[1, 0], [0, 2], [-3, 0], [0, -1]], np.float32)
    pairs = np.array([[0, 1], [0, 2]])
    assert g.alignment(vectors, pairs) == pytest.approx((2 + 4) / 2)
    squared = np.array([2, 4, 2, 2, 4, 2])
    assert g.uniformity(vectors, np.random.default_rng(0)) == pytest.approx(np.log(np.exp(-2 * squared).mean()))


def grid() -> dict[str, np.ndarray]:
    levels = np.stack(np.meshgrid(np.arange(8), np.arange(3), np.arange(20), indexing="ij"), -1).reshape(-1, 3)
    return {name: levels[:, k] for k, name in enumerate(("world_name", "texture", "animal"))}


def test_a_layer_responds_to_what_it_holds_alone() -> None:
    """Minimal pairs of a factor that the layer does not hold are not moved; those of one it holds alone, as any."""
    columns = grid()
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(8, 6))[columns["world_name"]], np.ones((480, 1))], 1).astype(np.float32)
    pairs = g.minimal_pairs(columns, list(columns))
    assert {name: len(p) for name, p in pairs.items()} == {
        "world_name": 28 * 60, "texture": 3 * 160, "animal": 190 * 24
    }  # fmt: skip
    for name, mine in pairs.items():
        for other in columns:
            assert (columns[other][mine[:, 0]] != columns[other][mine[:, 1]]).all() == (other == name)
    found = {r.factor: r for r in g.factor_sensitivities(vectors, pairs, rng)}
    assert found["texture"].sensitivity == 0
    assert found["animal"].sensitivity == 0
    # Of random pairs a share of 60 in 480 are of one world.
    assert found["world_name"].sensitivity == pytest.approx(479 / 420, rel=1e-3)


def test_disentangled_features_score_one_and_mixed_ones_little() -> None:
    one = g.dci({"a": np.array([1.0, 0, 0]), "b": np.array([0, 2.0, 0])}, {"a": 1.0, "b": 0.9})
    assert one.disentanglement == pytest.approx(1)
    assert one.completeness == pytest.approx({"a": 1, "b": 1})
    mixed = g.dci({"a": np.ones(3), "b": np.ones(3)}, {"a": 1.0, "b": 1.0})
    assert mixed.disentanglement == pytest.approx(0)
    assert mixed.completeness == pytest.approx({"a": 0, "b": 0})


def test_information_gap_is_one_where_a_single_feature_says_it_all() -> None:
    columns = grid()
    rng = np.random.default_rng(0)
    clean = np.stack([columns["world_name"], columns["texture"], rng.random(480)], 1).astype(np.float32)
    gaps = g.mutual_information_gap(clean, {name: columns[name] for name in ("world_name", "texture")})
    assert gaps["world_name"] > 0.85
    assert gaps["texture"] > 0.9
    twice = np.concatenate([clean, clean], 1)
    assert g.mutual_information_gap(twice, {"texture": columns["texture"]})["texture"] == pytest.approx(0)


def test_shapes_of_all_layers() -> None:
    columns = grid()
    rng = np.random.default_rng(0)
    world, texture = rng.normal(size=(8, 16))[columns["world_name"]], rng.normal(size=(3, 16))[columns["texture"]]
    layers = {"trunk": world + texture, "head": world + 0.01 * rng.normal(size=(480, 16))}
    features = Features("m", "d", {k: v.astype(np.float32) for k, v in layers.items()}, columns, np.arange(480), {})
    trunk, head = g.layer_geometry(features, quiet=True)
    of = [{r.factor: r.sensitivity for r in one.sensitivities} for one in (trunk, head)]
    assert of[0]["texture"] > 0.1 > 100 * of[1]["texture"]
    assert of[1]["world_name"] > 0.9
    assert trunk.disentanglement.informativeness["texture"] > 0.9 > head.disentanglement.informativeness["texture"]
    assert trunk.cka["trunk"] == pytest.approx(1, abs=1e-5)
    assert 0.1 < trunk.cka["head"] < 1
    assert trunk.debiased_cka["trunk"] == pytest.approx(1, abs=1e-5)
    assert trunk.debiased_cka["head"] < trunk.cka["head"]
    assert 3 < head.effective_rank < 7.1  # eight worlds differ in seven directions at most
