"""Everything that is asked about domains and a content, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, RunOptions, Split
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError, QuestionError, SpecError
from torchmultiverse.features import Features, factor_names, features_of, layers_of
from torchmultiverse.models import load_model
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals, holm
from torchmultiverse.store import columns_of, manifest_hash, missed_levels, open_images, rows_where
from torchmultiverse.transfer import domain_design as design
from torchmultiverse.transfer.correlated import CorrelatedAccuracy, correlated_accuracy, make_dial
from torchmultiverse.transfer.domain_code import DomainCode, domain_code
from torchmultiverse.transfer.domain_gap import Gap, gap_of, held_outcomes_in_turn
from torchmultiverse.transfer.kept_parts import KeptParts
from torchmultiverse.transfer.overlap import Overlap, class_means, deviations, feature_overlap
from torchmultiverse.transfer.pseudo_domains import EPSILONS, Clusters, ClusterScore, cluster, cluster_score

AUTO = "auto"
PSEUDO = "pseudo_domain"
PARTS = "domains-parts.json"
_REVISION = 3  # of what is computed: parts of another one are found again
_LAYERS = 8  # at most, where none are named
_CLUSTERS = 3  # where nobody says how many, as many as the source trains on
_MOST_CLUSTERS = 50
_HEAT = (6, 3, 20)  # contents, domains and features of the heat map


@dataclass(frozen=True)
class DomainOptions:
    """What is asked.

    Attributes:
        content: column that a probe is to tell.
        domain: column that it should not depend on; ``auto`` for clusters of the representation.
        unseen: filter of what is not trained on; each level in turn without.
        layers: names, the last of which the questions of one layer are asked of; some cuts without.
        factors: candidates of the leak table; all that vary without.
        group: column whose pictures are not independent, ``auto`` or ``rows``.
        probe: of `torchmultiverse.analyze.PROBES`.
        clusters: how many; as many as the domain has levels, or three, without.
        limit: so many pictures at most, drawn at random.
    """

    content: str
    domain: str = AUTO
    unseen: str | None = None
    layers: Sequence[str] | None = None
    factors: Sequence[str] | None = None
    group: str = "auto"
    probe: str = "logistic"
    clusters: int | None = None
    limit: int | None = None


class LevelAccuracy(Record):
    """Accuracy on the test pictures of one level of the domain, by probes that saw it and that did not."""

    level: str
    seen: float
    seen_low: float
    seen_high: float
    unseen: float
    unseen_low: float
    unseen_high: float
    images: int


class LayerFindings(Record):
    """What one layer has; what cannot be asked is ``None``."""

    layer: str
    code: DomainCode
    gap: Gap | None
    overlap: Overlap | None
    levels: tuple[LevelAccuracy, ...] = ()


class Leak(Record):
    """One candidate: how well it is told, what it costs where it is unseen, and how far features overlap.

    ``code_p`` and ``gap_p`` are corrected for all candidates.
    """

    factor: str
    code: DomainCode
    gap: Gap | None
    overlap: Overlap | None
    code_p: float = 1.0
    gap_p: float = 1.0


class FoundFactor(Record):
    """How far clusters are the levels of one factor."""

    factor: str
    score: ClusterScore


class KeptShare(Record):
    """What is kept at an outlier threshold, and how far the clusters of what is kept are the factor's levels."""

    epsilon: float
    share: float
    rand: float
    pictures: int


class ClusterFindings(Record):
    """Clusters of the last layer against known factors; ``best`` is the factor of `kept`."""

    factors: tuple[FoundFactor, ...]
    best: str
    kept: tuple[KeptShare, ...]


class HeatRows(Record):
    """Deviations of class means, without their sign, by domain and content, of the features that stand out most."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


class Erased(Record):
    """What is told and what unseen domains cost where the domain is erased linearly before."""

    code: DomainCode
    gap: Gap | None


class Combinations(Record):
    """What unseen combinations cost."""

    gap: Gap


class DomainFindings(Record):
    """All of it.

    Attributes:
        model, dataset, content, domain: names.
        contents, domains, images: how many.
        kind: of what is unseen: ``domains``, ``combinations`` or ``pictures``.
        group: what groups the pictures for intervals.
        layers: from the first to the last.
        combinations: unseen, at the last layer.
        leaks: of the candidates, at the last layer.
        correlated: by correlation, at the last layer.
        merged: whether the domains of these are halves of the levels.
        clusters: at the last layer.
        heat: at the last layer.
        erased: at the last layer.
        notes: what could not be asked, and why.
    """

    model: str
    dataset: str
    content: str
    domain: str
    contents: int
    domains: int
    images: int
    kind: str
    group: str
    layers: tuple[LayerFindings, ...]
    combinations: Gap | None = None
    leaks: tuple[Leak, ...] = ()
    correlated: tuple[CorrelatedAccuracy, ...] = ()
    merged: bool = False
    clusters: ClusterFindings | None = None
    heat: HeatRows | None = None
    erased: Erased | None = None
    notes: tuple[str, ...] = ()


def measure_domains(
    model: Any, dataset: Any, options: DomainOptions, run: RunOptions | None = None, parts: Path | None = None
) -> DomainFindings:
    """Ask a model everything about a content and a domain.

    Args:
        model: model string or model.
        dataset: folder of a dataset or of pictures, or an opened one.
        options: what is asked.
        run: seed, store of features, and so on.
        parts: file in which what is found is kept, so that it can be interrupted.

    Raises:
        DatasetError: no such column, one that does not vary, or a filter that leaves nothing.
        SpecError: the filter cannot be read.
        ModelError: no such model, layer or probe.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    every = columns_of(images)  # before the model has seen a picture
    for name in (options.content, *(() if options.domain == AUTO else (options.domain,)), *(options.factors or ())):
        design.domain_target(every, name)
    held = None
    if options.unseen is not None:
        try:
            held = rows_where(images, options.unseen)
        except SpecError as error:
            raise SpecError(str(error).replace("--where", "--unseen")) from None
        if not held.any() and (told := missed_levels(images, options.unseen)):
            raise QuestionError(f"--unseen {options.unseen}: no picture passes: {told}")
    model = load_model(model) if isinstance(model, str) else model
    names = list(options.layers) if options.layers else _spread([one.name for one in layers_of(model)])
    features = features_of(model, images, names, run.store, options.limit, run.seed, quiet=run.quiet)
    columns = dict(features.columns)
    passing = None if held is None else held[features.rows]
    facts = {
        "revision": _REVISION,
        **vars(options),
        "seed": run.seed,
        "data": manifest_hash(images),
        "rows": len(features),
    }
    kept = KeptParts(parts, {**facts, "weights": features.facts.get("weights_sha256"), "model": features.model})
    return domain_findings(features, columns, options, passing, run, kept)


def domain_findings(
    features: Features,
    columns: dict[str, NDArray[Any]],
    options: DomainOptions,
    passing: NDArray[np.bool_] | None,
    run: RunOptions,
    kept: KeptParts,
) -> DomainFindings:
    """Ask kept features everything about a content and a domain.

    Args:
        features: at all layers.
        columns: of the pictures, (N,) each.
        options: what is asked.
        passing: whether each picture is not to be trained on, (N,); each level in turn without.
        run: seed, and whether bars are shown.
        kept: parts that were found before.
    """
    question = _Question(features, columns, options, run, kept)
    held = question.hold_out(passing)
    last = list(features.layers)[-1]
    candidates = list(question.candidates())
    dial = make_dial(question.content.codes, question.domain.codes, question.parts, question.rng(6))
    if dial is None:
        question.notes.append("correlations: too few pictures of each combination of content and domain")
    rhos = dial.rhos if dial else ()
    with progress_bar(run.quiet) as progress:
        bar = progress.add_task("domains", total=len(features.layers) + len(candidates) + len(rhos) + 4, unit="steps")

        def step(what: str) -> None:
            progress.advance(bar)
            progress.update(bar, description=what)

        layers = []
        for name in features.layers:
            layers.append(question.layer(name, held))
            step(name)
        combined = question.combinations(last) if question.kind != "combinations" else None
        step("combinations")
        erased = question.erased(last, held)
        step("erasure")
        leaks = []
        for factor in candidates:
            leaks.append(question.leak(factor, last))
            step(factor)
        correlated = []
        for rho in rhos:
            assert dial is not None
            correlated.append(question.correlated(last, dial, rho))
            step(f"correlation {rho:g}")
        clusters = question.clusters(last, candidates)
        step("clusters")
        heat = question.heat(last)
        step("done")
    return DomainFindings(
        model=features.model, dataset=features.dataset, content=options.content, domain=question.domain.factor,
        contents=len(question.content.levels), domains=len(question.domain.levels), images=len(features),
        kind=question.kind, group=question.grouped, layers=tuple(layers), combinations=combined,
        leaks=_corrected(leaks), correlated=tuple(correlated), merged=dial is not None and dial.merged,
        clusters=clusters, heat=heat, erased=erased, notes=tuple(dict.fromkeys(question.notes)),
    )  # fmt: skip


def _corrected(leaks: Sequence[Leak]) -> tuple[Leak, ...]:
    """Return the leaks with p-values corrected for all that is asked of all candidates."""
    p = holm([one.code.p for one in leaks] + [one.gap.p if one.gap else 1.0 for one in leaks])
    pairs = zip(leaks, p[: len(leaks)], p[len(leaks) :], strict=True)
    return tuple(one.model_copy(update={"code_p": code, "gap_p": gap}) for one, code, gap in pairs)


def _spread(names: Sequence[str]) -> list[str]:
    """Return some of the names, evenly, the last among them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(_LAYERS, len(names))).round().astype(int))
    return [names[place] for place in places]


@dataclass
class _Question:
    """A content and a domain, asked of features."""

    features: Features
    columns: dict[str, NDArray[Any]]
    options: DomainOptions
    run: RunOptions
    kept: KeptParts
    notes: list[str] = field(default_factory=list)
    kind: str = "domains"

    def __post_init__(self) -> None:
        options, layers = self.options, self.features.layers
        self.intervals = Intervals(self.run.seed)
        self.content = design.domain_target(self.columns, options.content)
        self._clustered: dict[tuple[str, int], Clusters] = {}
        if options.domain == AUTO:
            found = self._cluster(list(layers)[-1], options.clusters or _CLUSTERS)
            self.columns[PSEUDO] = np.array([f"cluster {code + 1}" for code in found.codes], object)
        self.domain = design.domain_target(self.columns, PSEUDO if options.domain == AUTO else options.domain)
        if self.domain.factor == options.content:
            raise QuestionError(f"'{options.content}' is the content: the domain is another column")
        self.parts = design.content_parts(
            self.columns, self.content, self.domain.codes, self.rng(5), options.group
        )  # fmt: skip
        self.groups, self.grouped = design.interval_groups(self.parts, self.content, options.group)
        self.crossed = not design.says(self.domain.codes, self.content.codes) and not design.says(
            self.content.codes, self.domain.codes
        )
        if not self.crossed:
            self.notes.append(
                f"{self.domain.factor} and {options.content}: one says the other, so where a domain is held out "
                "nothing of its contents is left; gaps cannot be asked"
            )

    def rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self.run.seed, number))

    def hold_out(self, passing: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        """Return the fold in which each picture is held out, −1 for never."""
        if passing is None:
            return design.hold_out_levels(self.domain.codes, self.rng(7))
        held, self.kind = design.held_rows(passing, self.content, self.domain)
        return held

    def layer(self, name: str, held: NDArray[np.int64]) -> LayerFindings:
        """Return what one layer has."""

        def make() -> LayerFindings:
            vectors = self.features.layers[name]
            gap, levels = self._gap(vectors, held, self.domain, self.kind == "combinations", True)
            return LayerFindings(
                layer=name, code=self._code(vectors, self.domain), gap=gap, levels=levels,
                overlap=self._overlap(vectors, self.domain),
            )  # fmt: skip

        return self.kept.get(f"layer {name}", LayerFindings, make)

    def erased(self, name: str, held: NDArray[np.int64]) -> Erased:
        """Return what is left where the domain is erased."""

        def make() -> Erased:
            vectors, away = self.features.layers[name], self.domain.codes
            gap, _ = self._gap(vectors, held, self.domain, self.kind == "combinations", erased=away)
            return Erased(code=self._code(vectors, self.domain, True), gap=gap)

        return self.kept.get("erased", Erased, make)

    def combinations(self, name: str) -> Gap | None:
        """Return what unseen combinations cost, each held out once."""
        held = design.hold_out_cells(self.content.codes, self.domain.codes, self.rng(8))
        try:
            return self.kept.get(
                "combinations", Combinations,
                lambda: Combinations(gap=_there(self._gap(self.features.layers[name], held, self.domain, True)[0])),
            ).gap  # fmt: skip
        except DatasetError as error:
            self.notes.append(f"unseen combinations: {error}")
            return None

    def candidates(self) -> Iterator[str]:
        """Yield the factors that may leak: those that neither say the content nor follow from it."""
        wanted = self.options.factors
        try:
            names = factor_names(self.features, wanted) if wanted is None else list(wanted)
        except DatasetError:
            names = []
        clusters = [name for name in self.columns if name == PSEUDO and wanted is None]
        for name in dict.fromkeys([*names, *clusters]):
            if name == self.options.content:
                continue
            try:
                target = design.domain_target(self.columns, name)
            except DatasetError as error:
                if wanted is not None:
                    raise
                self.notes.append(f"{name}: {error}")
                continue
            if design.says(target.codes, self.content.codes) or design.says(self.content.codes, target.codes):
                self.notes.append(f"{name} is no candidate: it says {self.options.content}, or follows from it")
                continue
            yield name

    def leak(self, factor: str, name: str) -> Leak:
        """Return the line of one candidate."""

        def make() -> Leak:
            vectors, target = self.features.layers[name], design.domain_target(self.columns, factor)
            held = design.hold_out_levels(target.codes, self.rng(7))
            gap, _ = self._gap(vectors, held, target, False)
            return Leak(
                factor=factor, code=self._code(vectors, target), gap=gap, overlap=self._overlap(vectors, target)
            )

        return self.kept.get(f"leak {factor}", Leak, make)

    def correlated(self, name: str, dial: Any, rho: float) -> CorrelatedAccuracy:
        """Return what a probe tells that learned under a correlation."""
        return self.kept.get(
            f"correlation {rho:g}", CorrelatedAccuracy,
            lambda: correlated_accuracy(
                self.features.layers[name], self.content, dial, rho, self.parts, self.groups, self.intervals,
                self.options.probe, self.run.seed,
            ),
        )  # fmt: skip

    def clusters(self, name: str, candidates: Sequence[str]) -> ClusterFindings | None:
        """Return how far clusters are known factors: of as many as are asked for, or as each factor has levels."""
        known = [
            name for name in dict.fromkeys([self.domain.factor, *candidates, self.options.content]) if name != PSEUDO
        ]
        if not known:
            return None
        own = self.options.domain == AUTO and self.options.clusters is None

        def count(target: FactorTarget) -> int:
            levels = len(target.levels) if own else self.options.clusters or len(self.domain.levels)
            return min(levels, _MOST_CLUSTERS, len(self.features))

        def make() -> ClusterFindings:
            targets = [design.domain_target(self.columns, factor) for factor in known]
            found = [self._cluster(name, count(target)) for target in targets]
            scores = [
                cluster_score(one.codes, target.codes, self.groups, self.rng(10))
                for one, target in zip(found, targets, strict=True)
            ]
            best = int(np.argmax([one.rand for one in scores])) if self.options.domain == AUTO else 0
            shares = []
            for epsilon in EPSILONS:
                mine = found[best].kept(epsilon)
                rand = float("nan")
                if len(np.unique(found[best].codes[mine])) > 1:
                    rand = cluster_score(
                        found[best].codes[mine], targets[best].codes[mine], np.arange(int(mine.sum())), self.rng(10), 1
                    ).rand
                shares.append(KeptShare(epsilon=epsilon, share=float(mine.mean()), rand=rand, pictures=int(mine.sum())))
            lines = [FoundFactor(factor=f, score=one) for f, one in zip(known, scores, strict=True)]
            return ClusterFindings(factors=tuple(lines), best=known[best], kept=tuple(shares))

        return self.kept.get("clusters", ClusterFindings, make)

    def heat(self, name: str) -> HeatRows | None:
        """Return the class means of the source's figure."""
        contents, domains, most = _HEAT
        sizes = np.bincount(self.content.codes * len(self.domain.levels) + self.domain.codes,
                            minlength=len(self.content.levels) * len(self.domain.levels))  # fmt: skip
        whole = sizes.reshape(len(self.content.levels), -1) > 0
        some = np.argsort(-whole.sum(0), kind="stable")[:domains]
        able = np.flatnonzero(whole[:, some].all(1))[:contents]
        if len(able) < 2 or len(some) < 2:
            return None
        means = class_means(self.features.layers[name], self.content.codes, self.domain.codes, self.rng(13))
        with np.errstate(invalid="ignore"):
            z = deviations(np.nanmean(means, 2) if not np.isnan(means).any() else means[:, :, 0])
        chosen = z[able][:, some]
        columns = np.sort(np.argsort(-np.nan_to_num(np.abs(chosen)).max((0, 1)), kind="stable")[:most])
        rows = [(d, c) for d in range(len(some)) for c in range(len(able))]
        return HeatRows(
            rows=tuple(f"{self.domain.levels[some[d]]}, {self.content.levels[able[c]]}" for d, c in rows),
            columns=tuple(map(str, columns)),
            values=tuple(tuple(round(abs(float(v)), 2) for v in chosen[c, d, columns]) for d, c in rows),
        )

    def _cluster(self, name: str, count: int) -> Clusters:
        if (name, count) not in self._clustered:
            self._clustered[name, count] = cluster(self.features.layers[name], count, self.rng(14))
        return self._clustered[name, count]

    def _code(self, vectors: NDArray[np.float32], target: FactorTarget, erased: bool = False) -> DomainCode:
        parts: Split
        try:
            parts = design.content_parts(self.columns, target, None, self.rng(15), self.options.group)
        except DatasetError:  # a group that says this factor
            parts = design.content_parts(self.columns, target, None, self.rng(15))
        groups = parts.groups if parts.by else self.groups
        return domain_code(vectors, target, parts, groups, self.intervals, self.options.probe, self.run.seed, erased)

    def _gap(
        self, vectors: NDArray[np.float32], held: NDArray[np.int64], domain: FactorTarget, cells: bool,
        by_level: bool = False, erased: NDArray[np.int64] | None = None,
    ) -> tuple[Gap | None, tuple[LevelAccuracy, ...]]:  # fmt: skip
        if domain is self.domain and not self.crossed:
            return None, ()
        found = held_outcomes_in_turn(
            vectors, self.content, self.parts, held, domain.codes if cells else None, self.options.probe,
            self.run.seed, erased,
        )  # fmt: skip
        gap = gap_of(found, self.content.codes, self.groups, self.intervals)
        levels = []
        for code, level in enumerate(domain.levels) if by_level else ():
            mine = domain.codes[found.rows] == code
            if not mine.any():
                continue
            groups = np.unique(self.groups[found.rows[mine]], return_inverse=True)[1]
            (a, b, _), (c, d, _) = self.intervals.of_means([(found.seen[mine], groups), (found.unseen[mine], groups)])
            levels.append(
                LevelAccuracy(
                    level=level, seen=float(found.seen[mine].mean()), seen_low=a, seen_high=b,
                    unseen=float(found.unseen[mine].mean()), unseen_low=c, unseen_high=d, images=int(mine.sum()),
                )
            )  # fmt: skip
        return gap, tuple(levels)

    def _overlap(self, vectors: NDArray[np.float32], target: FactorTarget) -> Overlap | None:
        return feature_overlap(vectors, self.content.codes, target.codes, self.rng(16), self.intervals)


def _there(gap: Gap | None) -> Gap:
    if gap is None:
        raise DatasetError("the domain says the content, or follows from it")
    return gap
