"""Numbers about domains on planted representations: what is there must be found, and nothing where there is nothing.

What could silently be wrong: a gap that is the difficulty of a domain and not that it was unseen, a held-out
combination whose content or domain is not left in training, a correlation that is not the one on the axis, an overlap
of features that noise makes, or clusters that match a factor since one has many levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features
from torchmultiverse.transfer import DomainOptions, domain_record
from torchmultiverse.transfer.correlated import correlated_accuracy, cramers_v, make_dial
from torchmultiverse.transfer.domain_code import domain_code
from torchmultiverse.transfer.domain_design import (
    content_parts,
    domain_target,
    held_rows,
    hold_out_cells,
    hold_out_levels,
    in_turn,
    interval_groups,
    says,
)
from torchmultiverse.transfer.domain_findings import domain_findings
from torchmultiverse.transfer.domain_gap import gap_of, held_outcomes, held_outcomes_in_turn
from torchmultiverse.transfer.erasure import erase
from torchmultiverse.transfer.kept_parts import KeptParts
from torchmultiverse.transfer.overlap import class_means, deviations, feature_overlap
from torchmultiverse.transfer.pseudo_domains import Clusters, adjusted_rand, cluster, cluster_score

CONTENTS, DOMAINS = 6, 4


class World:
    """Every content in every domain, with as many pictures; vectors of what is asked for."""

    def __init__(self, each: int = 40, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        content, domain = np.divmod(np.arange(CONTENTS * DOMAINS).repeat(each), DOMAINS)
        order = rng.permutation(len(content))
        self.content_codes, self.domain_codes = content[order], domain[order]
        self.columns: dict[str, NDArray[Any]] = {
            "animal": np.array([f"animal {c}" for c in self.content_codes], object),
            "world": np.array([f"world {d}" for d in self.domain_codes], object),
        }
        self.content, self.domain = (domain_target(self.columns, name) for name in self.columns)
        self.parts = content_parts(self.columns, self.content, self.domain.codes, rng, "rows")
        self.groups, _ = interval_groups(self.parts, self.content, "rows")
        self.rng = rng

    def vectors(self, content: float, domain: float, both: float, noise: float = 0.5) -> NDArray[np.float32]:
        """Vectors of the content, of the domain, and of their combination, in so many parts."""
        rng = np.random.default_rng(7)
        of_content, of_domain = rng.normal(size=(CONTENTS, 24)), rng.normal(size=(DOMAINS, 24))
        of_both = rng.normal(size=(CONTENTS, DOMAINS, 24))
        made = content * of_content[self.content_codes] + domain * of_domain[self.domain_codes]
        made = made + both * of_both[self.content_codes, self.domain_codes]
        return (made + noise * rng.normal(size=made.shape)).astype(np.float32)

    def gap(self, vectors: NDArray[np.float32], held: NDArray[np.int64], cells: bool = False) -> Any:
        domain = self.domain.codes if cells else None
        found = held_outcomes(vectors, self.content, self.parts, held, domain)
        return gap_of(found, self.content.codes, self.groups)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_a_content_without_a_domain_costs_nothing_in_unseen_domains_and_combinations(world: World) -> None:
    vectors = world.vectors(1, 0, 0)
    for held, cells in (
        (hold_out_levels(world.domain.codes, world.rng), False),
        (hold_out_cells(world.content.codes, world.domain.codes, world.rng), True),
    ):
        found = world.gap(vectors, held, cells)
        assert found.seen > 0.97
        assert found.low <= 0 <= found.high
        assert found.trained_low <= 0 <= found.trained_high
        assert found.test == len(world.parts.test)
        assert found.folds == 4
        assert found.chance == pytest.approx(1 / CONTENTS, abs=0.05)


def test_vectors_of_combinations_are_lost_where_these_were_not_seen(world: World) -> None:
    vectors = world.vectors(0, 0, 2)
    for held, cells in (
        (hold_out_levels(world.domain.codes, world.rng), False),
        (hold_out_cells(world.content.codes, world.domain.codes, world.rng), True),
    ):
        found = world.gap(vectors, held, cells)
        assert found.seen > 0.95
        assert found.unseen < 0.5
        assert found.low > 0.4
        assert found.p < 1e-6


def test_a_domain_in_which_all_is_harder_has_a_gap_by_the_source_and_none_here(world: World) -> None:
    vectors = world.vectors(1, 0, 0)
    hard = world.domain_codes == 2
    noise = np.random.default_rng(3).normal(size=vectors.shape).astype(np.float32)
    vectors = np.where(hard[:, None], vectors + 3 * noise, vectors)
    held, kind = held_rows(hard, world.content, world.domain)
    found = world.gap(vectors, held)
    assert kind == "domains"
    assert found.trained_low > 0.2
    assert found.gap < 0.15


def test_few_pictures_are_all_asked_in_turn(world: World) -> None:
    vectors = world.vectors(0, 0, 2)
    held, _ = held_rows(world.domain_codes == 1, world.content, world.domain)
    found = held_outcomes_in_turn(vectors, world.content, world.parts, held)
    assert sorted(found.rows) == np.flatnonzero(world.domain_codes == 1).tolist()
    assert found.seen.mean() > 0.9
    assert found.unseen.mean() < 0.5
    parts = in_turn(world.parts, np.random.default_rng(0))
    assert sorted(np.concatenate([one.test for one in parts])) == list(range(len(vectors)))
    for one in parts:
        together = np.concatenate([one.train, one.validation, one.test])
        assert sorted(together) == list(range(len(vectors)))


def test_held_out_combinations_leave_every_content_and_domain_in_training() -> None:
    for contents, domains in ((2, 2), (3, 2), (2, 7), (9, 5)):
        content, domain = np.divmod(np.arange(contents * domains), domains)
        held = hold_out_cells(content, domain, np.random.default_rng(0))
        for fold in np.unique(held):
            assert len(np.unique(content[held != fold])) == contents
            assert len(np.unique(domain[held != fold])) == domains


def test_a_filter_says_what_it_holds_out_and_what_it_must_leave(world: World) -> None:
    content, domain = world.content, world.domain
    assert held_rows(domain.codes == 1, content, domain)[1] == "domains"
    assert held_rows((domain.codes == 1) & (content.codes < 3), content, domain)[1] == "combinations"
    with pytest.raises(DatasetError, match=r"every picture of animal 'animal 2' passes \(1 levels"):
        held_rows(content.codes == 2, content, domain)
    with pytest.raises(DatasetError, match="no picture passes"):
        held_rows(np.zeros(len(content.codes), bool), content, domain)


def test_a_domain_is_told_where_it_is_written_and_nowhere_else(world: World) -> None:
    there = domain_code(world.vectors(1, 1, 0), world.domain, world.parts, world.groups)
    gone = domain_code(world.vectors(1, 0, 0), world.domain, world.parts, world.groups)
    assert there.score > 0.97
    assert there.p < 1e-6
    assert gone.low <= 1 / DOMAINS <= gone.high
    assert gone.p > 0.05
    for found in (there, gone):
        assert found.shuffled_low <= 1 / DOMAINS <= found.shuffled_high


def test_a_domain_that_is_erased_is_told_by_chance_and_the_content_stays(world: World) -> None:
    vectors = world.vectors(1, 2, 0)
    gone = domain_code(vectors, world.domain, world.parts, world.groups, erased=True)
    assert gone.low <= 1 / DOMAINS <= gone.high
    train = world.parts.train
    erased = erase(vectors, world.domain.codes, train)
    means = [erased[train][world.domain.codes[train] == d].mean(0) for d in range(DOMAINS)]
    np.testing.assert_allclose(means, np.broadcast_to(means[0], np.shape(means)), atol=1e-4)
    held = hold_out_levels(world.domain.codes, world.rng)
    away = world.domain.codes
    found = held_outcomes(vectors, world.content, world.parts, held, seed=1, erased=away)
    assert gap_of(found, world.content.codes, world.groups).seen > 0.95
    flat = np.repeat(vectors[:, :3], 4, 1)  # fewer directions than numbers
    assert np.isfinite(erase(flat, world.domain.codes, train)).all()


def test_an_overlap_that_is_known(world: World) -> None:
    """Each class has three features in all domains and one of its own in each: 3 of 5 in two domains."""
    vectors = np.zeros((len(world.content_codes), CONTENTS * 3 + CONTENTS * DOMAINS), np.float32)
    rows = np.arange(len(vectors))
    for k in range(3):
        vectors[rows, 3 * world.content_codes + k] = 1 + k
    vectors[rows, 3 * CONTENTS + DOMAINS * world.content_codes + world.domain_codes] = 5
    found = feature_overlap(vectors, world.content_codes, world.domain_codes, world.rng)
    assert found is not None
    assert (found.between, found.within, found.others) == pytest.approx((0.6, 1.0, 0.0))
    assert (found.features, found.classes, found.cells) == (4, CONTENTS, CONTENTS * DOMAINS)
    assert found.low <= 0.6 <= found.high
    scaled = feature_overlap(vectors * 7 + 1, world.content_codes, world.domain_codes, world.rng)
    assert scaled is not None
    assert scaled.between == pytest.approx(0.6)
    means = class_means(vectors, world.content_codes, world.domain_codes, world.rng)
    lengths = np.sqrt((means.reshape(-1, means.shape[-1]) ** 2).sum(0))
    np.testing.assert_allclose(deviations(means / lengths), deviations(means), atol=1e-9)


def test_an_overlap_of_nothing_is_none(world: World) -> None:
    assert feature_overlap(np.ones((960, 4), np.float32), world.content_codes, world.domain_codes, world.rng) is None
    assert feature_overlap(world.vectors(1, 0, 0), world.content_codes, world.content_codes, world.rng) is None


@pytest.mark.parametrize(("contents", "domains", "each"), [(6, 4, 40), (5, 2, 30), (7, 3, 60), (3, 40, 4), (4, 4, 9)])
def test_a_correlation_is_exactly_what_it_is_called(contents: int, domains: int, each: int) -> None:
    content, domain = np.divmod(np.arange(contents * domains).repeat(each), domains)
    columns = {"c": content.astype(str).astype(object)}
    parts = content_parts(columns, domain_target(columns, "c"), None, np.random.default_rng(0), "rows")
    dial = make_dial(content, domain, parts, np.random.default_rng(1))
    assert dial is not None
    assert dial.merged == (each < 10)  # too few pictures of single levels
    sizes = set()
    for rho in dial.rhos:
        rows = dial.draw(rho, content, parts.train, np.random.default_rng(2))
        assert set(rows) <= set(parts.train)
        assert cramers_v(content[rows], dial.domain[rows]) == pytest.approx(rho, abs=1e-12)
        sizes.add(len(rows))
    assert len(sizes) == 1
    cells = np.unique(np.stack([content[dial.test], dial.domain[dial.test]]), axis=1, return_counts=True)[1]
    assert len(set(cells.tolist())) == 1
    assert (dial.rhos[0], dial.rhos[-1]) == (0.0, 1.0)


def test_a_strong_domain_is_taken_for_the_content_where_they_go_together(world: World) -> None:
    dial = make_dial(world.content.codes, world.domain.codes, world.parts, np.random.default_rng(0))
    assert dial is not None

    def curve(vectors: NDArray[np.float32]) -> list[Any]:
        return [correlated_accuracy(vectors, world.content, dial, r, world.parts, world.groups) for r in dial.rhos]

    weak = curve(world.vectors(0.5, 3, 0))
    assert weak[0].score - weak[-1].score > 0.2
    assert weak[-1].home > weak[-1].away + 0.3
    assert abs(weak[0].home - weak[0].away) < 0.15
    clean = curve(world.vectors(1, 0, 0))
    assert min(one.low for one in clean) > 0.9


def test_planted_clusters_are_found_and_shuffled_ones_are_not(world: World) -> None:
    vectors = world.vectors(0.2, 3, 0)
    found = cluster(vectors, DOMAINS, np.random.default_rng(0))
    score = cluster_score(found.codes, world.domain_codes, world.groups, np.random.default_rng(1))
    assert score.rand == 1
    assert score.information == pytest.approx(1)
    assert score.p < 0.01
    assert abs(score.shuffled_rand) < 0.01
    other = cluster_score(found.codes, world.content_codes, world.groups, np.random.default_rng(1))
    assert abs(other.rand) < 0.01
    assert other.p > 0.05
    names = np.arange(len(found.codes)) // 3  # so many levels that chance alone shares information
    many = cluster_score(found.codes, names, world.groups, np.random.default_rng(1))
    assert many.information > 0.1
    assert many.information == pytest.approx(many.shuffled_information, abs=0.02)
    assert many.p > 0.01
    assert adjusted_rand(np.array([[2.0, 1.0], [1.0, 2.0]])) == pytest.approx(-1 / 9)


def test_a_factor_that_groups_have_is_shuffled_from_group_to_group() -> None:
    """Twelve animals of two kinds, clusters that are six animals each: by pictures this would look sure."""
    groups = np.arange(12).repeat(50)
    score = cluster_score((groups < 6).astype(int), (groups % 3 == 0).astype(int), groups, np.random.default_rng(0))
    assert score.p > 0.3


def test_outliers_are_told_by_the_second_nearest_centroid() -> None:
    """Centroids at 0, 4 and 40: a point at 1.9 is nearly between two; the ratio that the source prints is 402."""
    points = np.array([0.0, 1.9, 2.0, 39.0])
    found = Clusters(np.array([0, 0, 0, 2]), (points[:, None] - np.array([0.0, 4.0, 40.0])) ** 2)
    assert found.kept(1.0).tolist() == [True, False, False, True]
    assert found.kept(0.21).tolist() == [True, True, False, True]
    assert found.kept(0.23).tolist() == [True, False, False, True]
    assert found.kept(0.0).tolist() == [True, True, False, True]


def test_numbers_are_ranges() -> None:
    target = domain_target({"yaw": np.arange(100.0)}, "yaw")
    assert target.levels == ("0 to 24.75", "24.75 to 49.5", "49.5 to 74.25", "74.25 to 99")
    assert np.bincount(target.codes).tolist() == [25] * 4
    with pytest.raises(DatasetError, match="the same in all pictures"):
        domain_target({"yaw": np.ones(5)}, "yaw")
    assert says(np.array([0, 1, 1]), np.array([1, 0, 0]))


def test_a_domain_that_is_in_one_layer_alone_is_found_there(world: World) -> None:
    layers = {"early": world.vectors(1, 0, 0), "middle": world.vectors(1, 1, 0), "late": world.vectors(0, 0, 2)}
    light = np.random.default_rng(5).integers(0, 2, len(world.content_codes)).astype(str).astype(object)
    columns = {**world.columns, "light": light}
    features = Features("planted", "toy", layers, columns, np.arange(len(light)), {})
    options = DomainOptions("animal", "world")
    found = domain_findings(features, dict(columns), options, None, RunOptions(quiet=True), KeptParts(None, {}))
    told = [one.code.p < 0.01 for one in found.layers]
    gaps = [one.gap.gap for one in found.layers if one.gap]
    assert told == [False, True, True]  # of combinations a probe tells the domain too
    assert max(gaps[:2]) < 0.05 < 0.5 < gaps[2]
    overlaps = [one.overlap.between for one in found.layers if one.overlap]
    assert overlaps[0] > 2 * overlaps[2]
    leaks = {one.factor: one for one in found.leaks}
    assert set(leaks) == {"world", "light"}
    assert leaks["world"].gap_p < 0.001
    assert leaks["world"].code_p < 0.001
    assert min(leaks["light"].gap_p, leaks["light"].code_p) > 0.05
    assert found.erased is not None
    assert found.combinations is not None
    assert found.combinations.gap > 0.5
    assert domain_record.domain_study(found).headline.startswith("At late, animal is named rightly in ")
