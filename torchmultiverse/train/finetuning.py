"""Fine-tunes a CLIP model on captioned pictures with open_clip's own loss, hard negatives in the same batch.

The published settings: ten epochs; each time a picture is seen with its original or its alternate caption, at random
(PUG, appendix on PUG: AR4T). The rest was not published; defaults are open_clip's (AdamW, β 0.9 and 0.98, weight decay
0.2, cosine schedule with a warm-up) with a learning rate that keeps what a pretrained model knows.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import TINY_CONFIG, TINY_WEIGHTS, ClipModel, load_model, save_tiny
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import training_bar
from torchmultiverse.scenes import ALIKE

Captions = Literal["original", "alternate", "both"]


def finetune(
    dataset: Any,
    model: str,
    out: str | Path,
    split: str | None = "train",
    captions: Captions = "both",
    hard_negatives: bool = True,
    epochs: int = 10,
    batch_size: int = 256,
    learning_rate: float = 1e-5,
    warmup: float = 0.1,
    seed: int = 0,
    quiet: bool = False,
) -> str:
    """Fine-tune and save a model; returns the model string that loads it.

    Args:
        dataset: pictures with a column ``caption``, and ``alt_caption``, ``negative_scene_id`` where there are.
        model: ``open_clip:…`` or ``tiny:…``.
        out: folder to write.
        split: only pictures of this split, where the dataset has splits.
        captions: which of a picture's captions: ``both`` takes one of them at random each time.
        hard_negatives: a picture and its hard negative are in the same batch, so that the loss must tell them apart.
        epochs: times that each picture is seen.
        batch_size: pictures per step.
        learning_rate: the highest, of a cosine schedule.
        warmup: share of steps in which it rises.
        seed: of order and captions.
        quiet: show no bar.

    Raises:
        DatasetError: no captions, or too few pictures.
        ModelError: no CLIP model.
        MissingExtra: open_clip is not installed.
    """
    open_clip = tools.need("open_clip", "fine-tuning")
    import torch

    loaded = load_model(model)
    if not isinstance(loaded, ClipModel):
        raise ModelError(f"'{model}' is no CLIP model of open_clip; only those are fine-tuned")
    rng = np.random.default_rng(seed)
    rows, texts, partner = _examples(dataset, split, captions)
    said_of = _said_of(dataset, rows, texts)
    module: Any = loaded.module.train()
    tokenizer = loaded._tokenizer
    batches = list(_batches(len(rows), batch_size, partner if hard_negatives else None, rng, said_of))
    if not batches:
        raise DatasetError("fine-tuning needs pictures with different captions; all of these have the same")
    per_epoch = len(batches)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in module.parameters() if p.ndim >= 2], "weight_decay": 0.2},
            {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=learning_rate, betas=(0.9, 0.98), eps=1e-6,
    )  # fmt: skip
    total = epochs * per_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, total, max(1, int(warmup * total)))
    )
    loss_of = open_clip.ClipLoss()
    losses: list[float] = []
    pool = ThreadPoolExecutor(1)  # one: a dataset is not asked by several threads at once

    def fetch(batch: NDArray[np.int64]) -> Any:
        return loaded.batch(list(dataset.iter_images([int(rows[i]) for i in batch])))

    with training_bar(quiet) as progress, pool:
        bar = progress.add_task("fine-tuning", total=total, loss="")
        for epoch in range(epochs):
            if epoch:
                batches = list(_batches(len(rows), batch_size, partner if hard_negatives else None, rng, said_of))
            waiting = pool.submit(fetch, batches[0])
            for number, batch in enumerate(batches):
                images = waiting.result()
                if number + 1 < len(batches):
                    waiting = pool.submit(fetch, batches[number + 1])
                said = [texts[i][int(rng.integers(len(texts[i])))] for i in batch]
                with torch.autocast(loaded.device.type, torch.bfloat16, enabled=loaded.device.type == "cuda"):
                    image = torch.nn.functional.normalize(module.encode_image(images), dim=-1)
                    text = torch.nn.functional.normalize(module.encode_text(tokenizer(said).to(loaded.device)), dim=-1)
                loss = loss_of(image.float(), text.float(), module.logit_scale.exp())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                with torch.no_grad():
                    module.logit_scale.clamp_(0, float(np.log(100)))
                losses.append(float(loss.item()))
                progress.update(bar, advance=1, loss=f"loss {losses[-1]:.2f}")
    facts = {
        "from": model, "weights_before": loaded.info.weights_sha256, "pictures": len(rows), "split": split,
        "captions": captions, "hard_negatives": hard_negatives, "epochs": epochs, "batch_size": batch_size,
        "learning_rate": learning_rate, "warmup": warmup, "seed": seed,
        "loss_first": losses[0], "loss_last": losses[-1],
    }  # fmt: skip
    return _save(Path(out), model, loaded, facts)


def trained_on(dataset: Any, split: str | None = "train", captions: Captions = "both") -> NDArray[np.int64]:
    """Return the rows that :func:`finetune` trains on, in their order: all with captions where there is no split.

    Raises:
        DatasetError: no captions, or too few pictures.
    """
    return _examples(dataset, split, captions)[0]


def _rate(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + float(np.cos(np.pi * (step - warmup) / max(1, total - warmup))))


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
        raise DatasetError(f"fine-tuning needs pictures with captions; there are {len(rows)}")
    partner = np.full(len(rows), -1, np.int64)
    if "negative_scene_id" in table.column_names and "scene_id" in table.column_names:
        ids, other = table["scene_id"].to_pylist(), table["negative_scene_id"].to_pylist()
        place = {ids[row]: k for k, row in enumerate(rows)}
        partner = np.array([place.get(other[row], -1) for row in rows], np.int64)
    return rows, [texts[row] for row in rows], partner


def _said_of(dataset: Any, rows: NDArray[np.int64], texts: Sequence[Sequence[str]]) -> list[frozenset[str]]:
    """Return what is said of each picture; of two that have something in common, either caption fits both.

    The sizes of PUG: AR4T have four words each, which its pictures do not tell apart.
    """
    names = dataset.table().column_names
    alike: dict[str, str] = {}
    if any(name in names for name in ("Actor1Attribute", "character_attribute")):
        alike = {word: group[0] for group in ALIKE for word in group}

    def folded(text: str) -> str:
        return " ".join(alike.get(word, word) for word in text.lower().split())

    return [frozenset(folded(text) for text in said) for said in texts]


def _batches(
    count: int,
    size: int,
    partner: NDArray[np.int64] | None,
    rng: np.random.Generator,
    said: Sequence[frozenset[str]] | None = None,
) -> Iterator[NDArray[np.int64]]:
    """Yield batches of one epoch, each picture once; with partners, both of a pair are in one batch.

    No two pictures of a batch have a caption in common: the loss would hold that it is false of one of them. Where few
    captions differ, batches are smaller.
    """
    groups: list[list[int]] = []
    used = np.zeros(count, bool)
    for i in rng.permutation(count):
        if used[i]:
            continue
        j = -1 if partner is None else int(partner[i])
        group = [int(i)] if j < 0 or used[j] or j == i or (said and said[i] & said[j]) else [int(i), j]
        used[group] = True
        groups.append(group)
    size = min(size, count)
    queue, few = deque(groups), False
    while queue:
        batch: list[int] = []
        taken: set[str] = set()
        held: list[list[int]] = []  # for the next batch
        while queue and len(batch) < size and len(held) < 4 * size:
            group = queue.popleft()
            captions = {caption for i in group for caption in said[i]} if said else set()
            if taken & captions:
                held.append(group)
            else:
                batch += group
                taken |= captions
        queue.extendleft(reversed(held))
        few |= len(batch) < size and bool(held)
        if len(batch) > 1 and (few or len(batch) >= size // 2):
            yield np.array(batch)


def _save(out: Path, model: str, loaded: ClipModel, facts: dict[str, Any]) -> str:
    module = loaded.module.eval().cpu()
    family, _, rest = model.partition("?")[0].partition(":")
    if family == "tiny":
        folder = Path(rest) if (Path(rest) / TINY_CONFIG).exists() else Path(rest).parent
        known = json.loads((folder / TINY_CONFIG).read_text())
        save_tiny(
            out, module, f"{known['name']}, fine-tuned", known["open_clip"], {**known["training"], "fine_tuned": facts}
        )
        return f"tiny:{out}"
    out.mkdir(parents=True, exist_ok=True)
    tools.save_tensors(out / TINY_WEIGHTS, module.state_dict())
    (out / "finetune.json").write_text(json.dumps(facts, indent=1) + "\n")
    arch = rest.partition("/")[0]
    return f"open_clip:{arch}//{out / TINY_WEIGHTS}"
