"""Fine-tunes a CLIP model on captioned images with open_clip's own loss, hard negatives in the same batch.

The published settings: ten epochs; each time an image is seen with its original or its alternate caption, at random
(PUG, appendix on PUG: AR4T). The rest was not published; defaults are open_clip's (AdamW, β 0.9 and 0.98, weight decay
0.2, cosine schedule with a warm-up) with a learning rate that keeps what a pretrained model knows.
"""

from __future__ import annotations

import json
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.json_text import read_json
from torchmultiverse.models import TINY_CONFIG, TINY_WEIGHTS, ClipModel, load_model, save_tiny, split_alias
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.scenes import SYNONYMS
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, cosine_after_warmup
from torchmultiverse.train.settings import Captions, FineTuning

if TYPE_CHECKING:
    import torch

_FACTS = "finetune.json"
_LARGEST_SCALE = float(np.log(100))


class FineTuningObjective(Objective):
    """open_clip's contrastive loss on batches in which no caption fits two images.

    Args:
        model: to be fine-tuned.
        dataset: images with captions.
        training: how.

    Raises:
        DatasetError: no captions, or too few images.
    """

    name = "fine-tuning"

    def __init__(self, model: ClipModel, dataset: Any, training: FineTuning) -> None:
        open_clip = tools.need("open_clip", "fine-tuning")
        self.rng = self._rng = np.random.default_rng(training.seed)
        self._model, self._dataset, self._training = model, dataset, training
        self._module: Any = model.module
        self.rows, self._texts, partner = _examples(dataset, training.split, training.captions)
        self._partner = partner if training.hard_negatives else None
        self._folded = _folded_captions(dataset, self.rows, self._texts)
        self._contrast = open_clip.ClipLoss()
        self._first = self._plan()
        if not self._first:
            raise DatasetError("fine-tuning needs images with different captions; all of these have the same")
        self.steps_per_epoch = len(self._first)

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return {"module": self._module}

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        return [
            {"params": [p for p in self._module.parameters() if p.ndim >= 2], "weight_decay": 0.2},
            {"params": [p for p in self._module.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        plan = self._plan() if epoch else self._first
        with ThreadPoolExecutor(1) as pool:  # one: a dataset is not asked by several threads at once
            waiting = pool.submit(self._images, plan[0])
            for number, batch in enumerate(plan):
                images = waiting.result()
                if number + 1 < len(plan):
                    waiting = pool.submit(self._images, plan[number + 1])
                yield images, [self._texts[i][int(self._rng.integers(len(self._texts[i])))] for i in batch]

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        import torch

        images, captions = batch
        tokens = self._model.tokenizer(captions).to(self.device)
        image = torch.nn.functional.normalize(self._module.encode_image(images), dim=-1)
        text = torch.nn.functional.normalize(self._module.encode_text(tokens), dim=-1)
        with torch.autocast(self.device.type, enabled=False):
            found: torch.Tensor = self._contrast(image.float(), text.float(), self._module.logit_scale.exp())
        return found

    @override
    def after_step(self, step: int) -> None:
        import torch

        with torch.no_grad():
            self._module.logit_scale.clamp_(0, _LARGEST_SCALE)

    def _images(self, batch: NDArray[np.int64]) -> torch.Tensor:
        return self._model.batch(list(self._dataset.iter_images([int(self.rows[i]) for i in batch])))

    def _plan(self) -> list[NDArray[np.int64]]:
        """Return the batches of an epoch."""
        return list(_batches(len(self.rows), self._training.batch_size, self._partner, self._rng, self._folded))


def finetune(
    dataset: Any,
    model: str,
    out: str | Path,
    training: FineTuning | None = None,
    *,
    quiet: bool = False,
) -> str:
    """Fine-tune and save a model; returns the model string that loads it.

    A run that was interrupted is continued by the same call; one that was finished, with the same model, pictures and
    settings, is not run again; another is replaced, with a warning.

    Args:
        dataset: images with a column ``caption``, and ``alt_caption``, ``negative_scene_id`` where there are.
        model: ``open_clip:…`` or ``tiny:…``.
        out: folder to write.
        training: how.
        quiet: show no bar.

    Raises:
        DatasetError: no captions, too few images, or another run was interrupted there.
        ModelError: no CLIP model, or the loss is no longer finite.
        MissingExtra: open_clip is not installed.
    """
    tools.need("open_clip", "fine-tuning")
    training = training or FineTuning()
    loaded, model = load_model(model), split_alias(model)[1]
    if not isinstance(loaded, ClipModel):
        raise ModelError(f"'{model}' is no CLIP model of open_clip; only those are fine-tuned")
    objective = FineTuningObjective(loaded, dataset, training)
    steps = training.epochs * objective.steps_per_epoch
    settings = LoopSettings(
        epochs=training.epochs, steps=steps, learning_rate=training.learning_rate, betas=(0.9, 0.98), eps=1e-6,
        schedule=cosine_after_warmup(training.warmup), clip_norm=1.0, seed=training.seed,
    )  # fmt: skip
    facts = {
        "from": model, "weights_before": loaded.info.weights_sha256, "pictures": len(objective.rows),
        **training.as_dict(),
    }  # fmt: skip
    if (finished := _finished(Path(out), model, facts)) is not None:
        return finished
    if (Path(out) / TINY_WEIGHTS).is_file() and not (Path(out) / RUNNING).exists():
        warnings.warn(
            f"{out}: holds a model of other settings, pictures or start; it is replaced when this training is done",
            stacklevel=2,
        )
    loop = Loop(objective, settings, checkpoint=Path(out) / RUNNING, identity=facts, quiet=quiet).run()
    tuned = _save(Path(out), model, loaded, {**facts, "loss_first": loop.first_loss, "loss_last": loop.last_loss})
    loop.finish()
    return tuned


def _finished(out: Path, model: str, facts: Mapping[str, Any]) -> str | None:
    """Return the model string of a run that was finished in a folder, ``None`` where another one or none was."""
    try:
        if (out / RUNNING).exists() or not (out / TINY_WEIGHTS).is_file():
            return None
        tiny = model.startswith("tiny:")
        held = read_json((out / (TINY_CONFIG if tiny else _FACTS)).read_text())
        known = held["training"]["fine_tuned"] if tiny else held
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = json.loads(json.dumps(dict(facts)))
    if {name: known.get(name) for name in same} != same:
        return None
    return _string(out, model)


def _string(out: Path, model: str) -> str:
    """Return the string of the model that was made of a model."""
    family, _, rest = model.partition("?")[0].partition(":")
    return f"tiny:{out}" if family == "tiny" else f"open_clip:{rest.partition('/')[0]}//{out / TINY_WEIGHTS}"


def trained_on(dataset: Any, split: str | None = "train", captions: Captions = "both") -> NDArray[np.int64]:
    """Return the rows that :func:`finetune` trains on, in their order: all with captions where there is no split.

    Raises:
        DatasetError: no captions, or too few images.
    """
    return _examples(dataset, split, captions)[0]


def _examples(
    dataset: Any, split: str | None, captions: Captions
) -> tuple[NDArray[np.int64], list[list[str]], NDArray[np.int64]]:
    """Return rows of the dataset, the captions of each, and the place of each one's hard negative (−1 for none)."""
    table = dataset.table()
    wanted = {"original": ["caption"], "alternate": ["alt_caption"], "both": ["caption", "alt_caption"]}[captions]
    names = [name for name in wanted if name in table.column_names]
    if not names or (captions == "alternate" and "alt_caption" not in names):
        raise DatasetError(f"fine-tuning on {captions} captions needs the column {wanted[0]}")
    columns = [table[name].to_pylist() for name in names]
    texts = [[t for t in dict.fromkeys(values) if t] for values in zip(*columns, strict=True)]
    keep = np.array([bool(t) for t in texts])
    if split is not None and "split" in table.column_names:
        keep &= np.array([s == split for s in table["split"].to_pylist()])
    rows = np.flatnonzero(keep)
    if len(rows) < 2:
        raise DatasetError(f"fine-tuning needs images with captions; there are {len(rows)}")
    partner = np.full(len(rows), -1, np.int64)
    if "negative_scene_id" in table.column_names and "scene_id" in table.column_names:
        ids, other = table["scene_id"].to_pylist(), table["negative_scene_id"].to_pylist()
        place = {ids[row]: k for k, row in enumerate(rows)}
        partner = np.array([place.get(other[row], -1) for row in rows], np.int64)
    return rows, [texts[row] for row in rows], partner


def _folded_captions(dataset: Any, rows: NDArray[np.int64], texts: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    """Return the captions of each image in one wording; of two that have one in common, either caption fits both.

    The sizes of PUG: AR4T have four words each, which its images do not tell apart.
    """
    names = dataset.table().column_names
    alike: dict[str, str] = {}
    if any(name in names for name in ("Actor1Attribute", "character_attribute")):
        alike = {word: group[0] for group in SYNONYMS for word in group}

    def folded(text: str) -> str:
        return " ".join(alike.get(word, word) for word in text.lower().split())

    return [frozenset(folded(text) for text in captions) for captions in texts]


def _batches(
    count: int,
    size: int,
    partner: NDArray[np.int64] | None,
    rng: np.random.Generator,
    captions_of: Sequence[frozenset[str]] | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Yield batches of one epoch, each image once; with partners, both of a pair are in one batch.

    No two images of a batch have a caption in common: the loss would hold that it is false of one of them. Where few
    captions differ, batches are smaller.
    """
    size = min(size, count)
    queue, few = deque(_groups(count, partner, rng, captions_of)), False
    while queue:
        batch: list[int] = []
        taken: set[str] = set()
        held: list[list[int]] = []  # for the next batch
        while queue and len(batch) < size and len(held) < 4 * size:
            group = queue.popleft()
            captions = {caption for i in group for caption in captions_of[i]} if captions_of else set()
            if taken & captions:
                held.append(group)
            else:
                batch += group
                taken |= captions
        queue.extendleft(reversed(held))
        few |= len(batch) < size and bool(held)
        if len(batch) > 1 and (few or len(batch) >= size // 2):
            yield np.array(batch)


def _groups(
    count: int,
    partner: NDArray[np.int64] | None,
    rng: np.random.Generator,
    captions_of: Sequence[frozenset[str]] | None,
) -> list[list[int]]:
    """Return images in random order, each alone or with its hard negative, where no caption fits both."""
    groups: list[list[int]] = []
    used = np.zeros(count, bool)
    for i in rng.permutation(count):
        if used[i]:
            continue
        j = -1 if partner is None else int(partner[i])
        alone = j < 0 or used[j] or j == i or (captions_of and captions_of[i] & captions_of[j])
        group = [int(i)] if alone else [int(i), j]
        used[group] = True
        groups.append(group)
    return groups


def _save(out: Path, model: str, loaded: ClipModel, facts: dict[str, Any]) -> str:
    module = loaded.module.eval().cpu()
    family, _, rest = model.partition("?")[0].partition(":")
    if family == "tiny":
        folder = Path(rest) if (Path(rest) / TINY_CONFIG).exists() else Path(rest).parent
        known = json.loads((folder / TINY_CONFIG).read_text())
        save_tiny(
            out, module, f"{known['name']}, fine-tuned", known["open_clip"], {**known["training"], "fine_tuned": facts}
        )
        return _string(out, model)
    out.mkdir(parents=True, exist_ok=True)
    tools.save_tensors(out / TINY_WEIGHTS, module.state_dict())
    (out / _FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return _string(out, model)
