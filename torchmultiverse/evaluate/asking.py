"""Asking models the questions of a protocol: each picture passes once through each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluate import classification as by_class
from torchmultiverse.evaluate import imagenet
from torchmultiverse.evaluate.choice import choice_task
from torchmultiverse.evaluate.pairs import METRICS, pair_tasks, winoground
from torchmultiverse.evaluate.protocol import (
    ChoiceProtocol,
    ClassificationProtocol,
    PairsProtocol,
    Prompts,
    Protocol,
    SparProtocol,
)
from torchmultiverse.evaluate.scored import Scored, both, hard_negative, published, top1
from torchmultiverse.evaluate.scoring import Outcome, paired_scores
from torchmultiverse.evaluate.spar import Task, coin_flips, tasks
from torchmultiverse.features import BatchSize, EmbeddingStore, embed_texts, encode_images, encode_texts, run_images
from torchmultiverse.models import (
    Classifier,
    FloatArray,
    HasCandidateLimit,
    HasMutableInfo,
    HasTokens,
    ImageTextModel,
    Model,
    Scorer,
    need,
    unit,
)
from torchmultiverse.scenes import BLANK, spoken
from torchmultiverse.store import ImageSet


class Asker:
    """Asks models the questions of a protocol; each picture passes once through each model."""

    def __init__(
        self,
        pictures: ImageSet,
        columns: Mapping[str, NDArray[Any]],
        batch_size: int | BatchSize,
        quiet: bool,
        store: EmbeddingStore | None = None,
        audit: int = 0,
        seed: int = 0,
    ) -> None:
        self.pictures, self.columns, self.batch_size, self.quiet = pictures, columns, batch_size, quiet
        self._store, self._sample, self._seed = store, audit, seed
        self.audits: dict[str, Any] = {}
        self._widths: dict[str, int] = {}  # of each model's vectors

    def _audit(
        self,
        model: ImageTextModel | Classifier,
        function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
        vectors: FloatArray,
        answers: Callable[[NDArray[np.int64], FloatArray], NDArray[np.int64]],
    ) -> None:
        """Encode some pictures again, one by one and in float32, and note how many answers that changes.

        Args:
            model: to audit.
            function: a batch of pictures to vectors.
            rows: which pictures the vectors are of.
            vectors: what was scored.
            answers: positions in ``rows`` and their vectors to everything that the model says of them, in order.
        """
        if not self._sample or not len(rows):
            return
        rng = np.random.default_rng(self._seed)
        some = np.sort(rng.choice(len(rows), min(self._sample, len(rows)), replace=False))
        precision = model.info.precision
        lowered = precision != "float32" and isinstance(model, HasMutableInfo)
        if lowered:
            model.change(precision="float32")  # type: ignore[union-attr]
        try:
            again = run_images(function, self.pictures, rows[some], f"{model.info.name}: audit", 1, self.quiet)
        finally:
            if lowered:
                model.change(precision=precision)  # type: ignore[union-attr]
        before, after = answers(some, vectors[some]), answers(some, again)
        self.audits[model.info.name] = {
            "pictures": len(some),
            "precision": precision,
            "answers": len(before),
            "changed": int((before != after).sum()),
            "largest_difference": float(np.abs(vectors[some] - again).max()),
        }

    def _run(self, function: Callable[[Any], FloatArray], rows: NDArray[np.int64], name: str) -> FloatArray:
        return run_images(function, self.pictures, rows, name, self.batch_size, self.quiet)

    def _encode(
        self, model: ImageTextModel | Classifier, output: str, function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
    ) -> FloatArray:  # fmt: skip
        """Return what a model makes of pictures, from the store where it was there before."""
        made = encode_images(model, output, function, self.pictures, rows, self.batch_size, self.quiet, self._store)
        if output == "image" and len(rows):
            self._compare(model, made.shape[1])
        return made

    def _texts(self, model: ImageTextModel, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return the vector of every caption, (D,) each, from the store where it was there before."""
        made = embed_texts(model, texts, self.quiet, self._store)
        for vector in made.values():
            self._compare(model, len(vector))
        return made

    def _compare(self, model: ImageTextModel | Classifier, width: int) -> None:
        """Note how long a model's vectors are.

        Raises:
            ModelError: those of pictures and captions differ.
        """
        other = self._widths.setdefault(model.info.name, width)
        if other != width:
            raise ModelError(
                f"'{model.info.name}' turns pictures and captions into vectors of {other} and {width} numbers; "
                "one space is needed: is a projection missing?"
            )

    def _logits(self, model: Classifier, rows: NDArray[np.int64]) -> FloatArray:
        """Return a classifier's logits, (N, C).

        Raises:
            ModelError: there is not a name for each.
        """
        logits = self._encode(model, "logits", model.logits, rows)
        if len(rows) and (problem := imagenet.width_problem(logits.shape[1], model.classes)):
            raise ModelError(f"'{model.info.name}' {problem}")
        return logits

    def __call__(self, model: Model, protocol: Protocol, notes: list[str]) -> Iterator[Scored]:
        """Yield what became of every task.

        Args:
            model: whom to ask.
            protocol: what to ask.
            notes: receives what a reader must know, such as pictures that were left out.
        """
        if not isinstance(model, ImageTextModel | Classifier | Scorer):
            raise ModelError(
                f"'{model.info.name}' turns pictures into vectors and knows neither captions nor classes; "
                "ask it with `torchmultiverse eval equivariance`"
            )
        if isinstance(protocol, PairsProtocol):
            yield from self._pairs(model, protocol, notes)
        elif isinstance(protocol, ChoiceProtocol):
            yield from self._choices(model, protocol, notes)
        elif isinstance(protocol, ClassificationProtocol):
            yield from self._classification(model, protocol, notes)
        else:
            yield from self._captions(model, protocol, notes)

    def _captions(
        self, model: ImageTextModel | Classifier | Scorer, protocol: SparProtocol, notes: list[str]
    ) -> Iterator[Scored]:
        asked = tasks(protocol, self.columns)
        if isinstance(model, ImageTextModel):
            yield from self._spar_embeddings(model, asked, protocol, notes)
        elif isinstance(model, Scorer):
            most = model.max_candidates if isinstance(model, HasCandidateLimit) else None
            for task in asked:
                if most is None or len(task.candidates) <= most:
                    function = partial(_score, model, task.candidates)
                    yield from both(task, self._run(function, task.rows, f"{model.info.name}: {task.task}"))
                elif task.negatives is not None:
                    yield hard_negative(task, *self._own_captions(model, task))
                else:
                    note = f"{model.info.name}: tasks with more than {most} captions were asked as hard negatives only"
                    notes += [] if note in notes else [note]
        else:
            yield from self._spar_classifier(model, asked, notes)

    def _spar_embeddings(
        self, model: ImageTextModel, asked: list[Task], protocol: SparProtocol, notes: list[str]
    ) -> Iterator[Scored]:
        used = np.unique(np.concatenate([task.rows for task in asked])) if asked else np.zeros(0, np.int64)
        images = self._encode(model, "image", model.encode_image, used)
        texts = self._texts(model, [caption for task in asked for caption in task.candidates])
        flips = coin_flips(asked) if protocol.coin_order else {}

        def answers(some: NDArray[np.int64], vectors: FloatArray) -> NDArray[np.int64]:
            said = [np.zeros(0, np.int64)]
            for task in asked:
                mine = np.isin(used[some], task.rows)
                said.append((vectors[mine] @ np.stack([texts[c] for c in task.candidates]).T).argmax(1))
            return np.concatenate(said)

        self._audit(model, model.encode_image, used, images, answers)
        for task in asked:
            mine = images[np.searchsorted(used, task.rows)]
            captions = np.stack([texts[caption] for caption in task.candidates])
            if alike := _read_alike(model, task.candidates, captions):
                what = f"{task.task}, {task.setting}, {task.scope}"
                notes.append(f"{model.info.name}: {alike:,} captions ({what}) are cut to the same words and tie")
            if protocol.half:
                yield from published(
                    task, mine, captions, flips.get((task.task, task.setting, task.scope)), protocol.top5
                )
                continue
            yield top1(task, partial(_products, mine, captions), model.logit_scale)
            if task.negatives is not None:
                true = paired_scores(mine, captions[task.labels])
                other = paired_scores(mine, captions[task.negatives])
                yield hard_negative(task, true, other, model.logit_scale)

    def _own_captions(self, model: Scorer, task: Task) -> tuple[FloatArray, FloatArray]:
        """Return the scores of each picture with its true caption and with its hard negative, (N,) each."""
        assert task.negatives is not None
        pair = np.empty((len(task.rows), 2), np.float32)
        both = np.stack([task.labels, task.negatives], 1)
        for true, other in np.unique(both, axis=0):
            mine = np.flatnonzero((both == (true, other)).all(1))
            function = partial(_score, model, [task.candidates[true], task.candidates[other]])
            pair[mine] = self._run(function, task.rows[mine], f"{model.info.name}: {task.task}")
        return pair[:, 0], pair[:, 1]

    def _pairs(
        self, model: ImageTextModel | Classifier | Scorer, protocol: PairsProtocol, notes: list[str]
    ) -> Iterator[Scored]:
        if isinstance(model, Classifier):
            raise ModelError(
                f"'{model.info.name}' is a classifier and reads no captions, which '{protocol.name}' asks about"
            )
        asked = pair_tasks(protocol, self.columns, model.tokens if isinstance(model, HasTokens) else None)
        notes += [note for said in asked.told() if (note := f"{model.info.name}: {said}") not in notes]
        task = asked.single
        scale = None
        if isinstance(model, ImageTextModel):
            images = self._encode(model, "image", model.encode_image, task.rows)
            texts = self._texts(model, task.candidates)
            captions = np.stack([texts[caption] for caption in task.candidates])
            assert task.negatives is not None
            true = paired_scores(images, captions[task.labels])
            other = paired_scores(images, captions[task.negatives])
            scale = model.logit_scale
        else:
            true, other = self._own_captions(model, task)
        yield hard_negative(task, true, other, scale)
        if not len(asked.partners):
            notes.append(
                f"{model.info.name}: no two pictures are each other's hard negative; Winoground's scores need them"
            )
            return
        one, two = np.searchsorted(task.rows, asked.pairs.rows), np.searchsorted(task.rows, asked.partners)
        right = winoground(true[one], other[one], true[two], other[two])
        names = np.array(task.candidates, dtype=object)
        pairs = asked.pairs
        assert pairs.negatives is not None
        margin = np.minimum(true[one] - other[one], true[two] - other[two]).astype(np.float32)
        for metric, chance in METRICS.items():
            correct = right[metric].astype(float)
            said = np.where(right[metric], pairs.labels, pairs.negatives)
            outcome = Outcome(correct, said, margin, np.full(len(correct), np.nan, np.float32))
            yield Scored(pairs, f"winoground_{metric}", outcome, names[pairs.labels], names[said], chance, 2)

    def _choices(
        self, model: ImageTextModel | Classifier | Scorer, protocol: ChoiceProtocol, notes: list[str]
    ) -> Iterator[Scored]:
        for asked in protocol.tasks:
            task = choice_task(protocol, asked, self.columns)
            if isinstance(model, ImageTextModel):
                images = self._encode(model, "image", model.encode_image, task.rows)
                matrix = self._heads(model, asked.prompts, task.candidates)
                self._audit(model, model.encode_image, task.rows, images, partial(_answers, matrix))
                yield top1(task, partial(_products, images, matrix), model.logit_scale)
            elif isinstance(model, Scorer):
                captions = [sentences(asked.prompts, name)[0] for name in task.candidates]
                yield top1(task, self._run(partial(_score, model, captions), task.rows, model.info.name).__getitem__)
            else:
                known = imagenet.logits_of(task.candidates, model.classes)
                if len(known) < len(task.candidates):
                    missing = sorted(set(task.candidates) - set(known))
                    notes.append(
                        f"{model.info.name}: no class is called {', '.join(missing[:8])}; '{asked.task}' was left out"
                    )
                    continue
                yield top1(task, _best_of(self._logits(model, task.rows), known, task.candidates).__getitem__, 1.0)

    def _spar_classifier(self, model: Classifier, asked: list[Task], notes: list[str]) -> Iterator[Scored]:
        """Ask a classifier which single animal it sees, among those that it has classes for."""
        for task in asked:
            if task.task != "single_animal" or task.scope != "plain":
                continue
            names = [next(a for a in task.factors["animal"] if a[i] != BLANK)[i] for i in range(len(task.rows))]
            known = imagenet.logits_of(sorted(set(names)), model.classes)
            keep = np.array([name in known for name in names])
            if len(known) < 2 or not keep.any():
                continue
            missing = sorted(set(names) - set(known))
            note = f"{model.info.name}: only single animals can be asked of a classifier" + (
                f"; it has no class for {', '.join(missing)}, whose pictures were left out" if missing else ""
            )
            if note not in notes:
                notes.append(note)
            logits = self._logits(model, task.rows[keep])
            order = sorted(known)
            kept = Task(
                task.task,
                task.setting,
                task.scope,
                task.rows[keep],
                tuple(order),
                np.array([order.index(name) for name, k in zip(names, keep, strict=True) if k]),
                clusters=None if task.clusters is None else task.clusters[keep],
                factors={f: tuple(v[keep] for v in values) for f, values in task.factors.items()},
            )
            yield top1(kept, _best_of(logits, known, order).__getitem__, 1.0)

    def _heads(self, model: ImageTextModel, prompts: Prompts, names: Sequence[str]) -> FloatArray:
        """Return one vector per class, (K, D), of unit length: the mean of the unit vectors of its sentences."""
        said = [sentences(prompts, name) for name in names]
        texts = self._texts(model, [text for some in said for text in some])
        means = np.stack([np.mean([unit(texts[text]) for text in some], axis=0) for some in said])
        return unit(means.astype(np.float32))

    def _classification(
        self, model: ImageTextModel | Classifier | Scorer, protocol: ClassificationProtocol, notes: list[str]
    ) -> Iterator[Scored]:
        column = by_class.label_column(self.columns, protocol.label_columns)
        labels = self.columns[column].astype(str).astype(object)
        rows = np.flatnonzero(labels != BLANK)
        clusters = self.columns.get("character_name", self.columns[column])
        factors = {
            name: np.where(tells, self.columns[name].astype(str), "").astype(object)
            for name, tells in by_class.varied_factors(self.columns).items()
        }
        names = sorted(set(labels[rows]))

        def task(
            setting: str, kept: NDArray[np.int64], candidates: Sequence[str], place: Mapping[str, int] | None = None
        ) -> Task:
            where = {name: i for i, name in enumerate(candidates)} if place is None else place
            return Task(
                "classification",
                setting,
                "plain",
                kept,
                tuple(candidates),
                np.array([where[name] for name in labels[kept]], dtype=np.int64),
                clusters=clusters[kept],
                factors={
                    "class": (labels[kept],),
                    **{factor: (values[kept],) for factor, values in factors.items()},
                },
            )

        if isinstance(model, Classifier):
            logits = self._logits(model, rows)
            self._audit(model, model.logits, rows, logits, lambda _, vectors: vectors.argmax(1))
            if model.classes is not None:
                logits, called = imagenet.merged(logits, model.classes)
                known = imagenet.match_classes(names, called)
                keep = np.isin(labels[rows], list(known))
                if len(known) < len(names):
                    missing = sorted(set(names) - set(known))
                    notes.append(
                        f"{model.info.name}: no class is called {', '.join(missing[:12])}"
                        f"{' …' if len(missing) > 12 else ''}; {int((~keep).sum())} pictures were left out"
                    )
                if not known:
                    raise ModelError(f"'{model.info.name}' has no class that is called like a value of {column}")
                asked = task("class names", rows[keep], called, known)
                yield top1(asked, logits[keep].__getitem__, 1.0)
                return
            classes = imagenet.class_map(names, protocol.class_map)
            unknown = sorted(set(names) - set(classes))
            keep = np.isin(labels[rows], list(classes))
            if not keep.any():
                raise DatasetError(f"no value of {column} is an ImageNet class: {', '.join(unknown[:5])}")
            if unknown:
                notes.append(
                    f"{model.info.name}: {', '.join(unknown[:12])} have no ImageNet class; "
                    f"{int((~keep).sum())} pictures were left out"
                )
            for space in protocol.label_spaces:
                asked = task(space, rows[keep], sorted(classes))
                outcome, said, chance = by_class.imagenet_outcome(
                    logits[keep], list(labels[asked.rows]), classes, space
                )
                count = len(classes) if space == "restricted" else imagenet.CLASSES
                yield Scored(asked, "top1", outcome, labels[asked.rows], np.array(said, dtype=object), chance, count)
            return
        if isinstance(model, ImageTextModel):
            images = self._encode(model, "image", model.encode_image, rows)
            classes = imagenet.class_map(names, protocol.class_map)
            mapped = np.isin(labels[rows], list(classes))
            for number, prompts in enumerate(protocol.prompts):
                own = prompts.classes == "own"
                if not own and not mapped.any():
                    continue
                matrix = self._heads(
                    model, prompts, [spoken(name) for name in names] if own else imagenet.imagenet_names()
                )
                if number == 0:
                    self._audit(model, model.encode_image, rows, images, partial(_answers, matrix))
                if own:
                    yield top1(task(prompts.name, rows, names), partial(_products, images, matrix), model.logit_scale)
                    continue
                logits = np.float32(model.logit_scale) * (images[mapped] @ matrix.T)
                for space in protocol.label_spaces:
                    asked = task(f"{prompts.name}, {space}", rows[mapped], sorted(classes))
                    truth = labels[asked.rows]
                    outcome, said, chance = by_class.imagenet_outcome(logits, list(truth), classes, space)
                    count = len(classes) if space == "restricted" else imagenet.CLASSES
                    yield Scored(asked, "top1", outcome, truth, np.array(said, dtype=object), chance, count)
        else:
            captions = [sentences(protocol.prompts[0], spoken(name))[0] for name in names]
            asked = task(protocol.prompts[0].name, rows, names)
            scores = self._run(partial(_score, model, captions), rows, model.info.name)
            yield top1(asked, scores.__getitem__)


class Rehearsal(Asker):
    """Asks as an :class:`Asker` does, but shows only two pictures and two captions, whose vectors stand for all others.

    What is asked first of a model then fails, if it fails, before hours are spent on other models.
    """

    @override
    def _run(self, function: Callable[[Any], FloatArray], rows: NDArray[np.int64], name: str) -> FloatArray:
        return np.resize(found := super()._run(function, rows[:2], name), (len(rows), *found.shape[1:]))

    @override
    def _encode(
        self, model: ImageTextModel | Classifier, output: str, function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
    ) -> FloatArray:  # fmt: skip
        made = self._run(function, rows, model.info.name)
        if output == "image" and len(rows):
            self._compare(model, made.shape[1])
        return made

    @override
    def _texts(self, model: ImageTextModel, texts: Sequence[str]) -> dict[str, FloatArray]:
        shown = sorted(set(texts))[:2]
        known = encode_texts(model, shown, quiet=True)
        for vector in known.values():
            self._compare(model, len(vector))
        return {text: known[shown[place % len(shown)]] for place, text in enumerate(dict.fromkeys(texts))}


def sentences(prompts: Prompts, name: str) -> list[str]:
    """Return the sentences that ask for a class.

    Raises:
        MissingExtra: the ensemble comes with open_clip, which is not installed.
    """
    if prompts.templates == "openai-80":
        return [template(name) for template in need("open_clip", "the ImageNet prompts").OPENAI_IMAGENET_TEMPLATES]
    return [template.format(name) for template in prompts.templates]


def _answers(matrix: FloatArray, _: NDArray[np.int64], vectors: FloatArray) -> NDArray[np.int64]:
    return np.asarray((vectors @ matrix.T).argmax(1), np.int64)


def _best_of(logits: FloatArray, known: Mapping[str, Sequence[int]], names: Sequence[str]) -> FloatArray:
    """Return the best logit of each name, (N, K)."""
    return np.stack([logits[:, list(known[name])].max(1) for name in names], axis=1)


def _read_alike(model: ImageTextModel, captions: Sequence[str], vectors: FloatArray) -> int:
    """Return how many captions a model reads as it reads another one: beyond its limit nothing tells them apart."""
    if not isinstance(model, HasTokens):
        return 0
    tied = _repeated(vectors)  # others need not be read again
    return int(_repeated(model.tokens([captions[k] for k in tied])).size) if len(tied) else 0


def _repeated(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return which rows are equal to another one."""
    codes = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return np.flatnonzero(np.bincount(codes)[codes] > 1)


def _score(model: Scorer, captions: Sequence[str], batch: Any) -> FloatArray:
    return model.score(batch, captions)


def _products(images: FloatArray, captions: FloatArray, part: NDArray[np.int64]) -> FloatArray:
    scores: FloatArray = images[part] @ captions.T
    return scores
