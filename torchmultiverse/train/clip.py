"""Trains a small image-text model from scratch on a SPAR-like dataset, in about a minute on two CPU cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmultiverse.errors import DatasetError
from torchmultiverse.images import rgb
from torchmultiverse.models import build_tiny, save_tiny, tiny_config, tiny_preprocess
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import training_bar
from torchmultiverse.scenes import BLANK
from torchmultiverse.store import PUBLISHED
from torchmultiverse.train.statements import KINDS, Facts, Kind, look_alikes, say

if TYPE_CHECKING:
    import torch

_COLUMNS = tuple(PUBLISHED["SPAR"])
_LOOK_ALIKES = 1  # false captions of each kind per picture and step, beside the swapped one
_SHIFT = 5  # pixels by which a training picture may be shifted; left and right stay what they are


def train_clip(
    dataset: Any,
    out: str | Path,
    seed: int = 0,
    steps: int = 480,
    batch_size: int = 32,
    image_size: int = 64,
    learning_rate: float = 1e-3,
    name: str = "tiny CLIP",
    quiet: bool = False,
) -> Path:
    """Train and save a small CLIP; load it with ``load_model(f"tiny:{folder}")``.

    Each step takes a batch of pictures and asks open_clip's contrastive loss which full caption belongs to which;
    then, for each kind of statement (scene, animals, sides, textures), which of all captions of that kind in the
    batch, and of their look-alikes (animals swapped, another animal, another side, another world), is true.
    Pictures are shifted and their colours changed a little; they are never mirrored.

    Args:
        dataset: pictures with the SPAR columns (``table``, ``iter_images``).
        out: folder to write.
        seed: of the first weights, the batches and the changes to pictures.
        steps: batches to train on.
        batch_size: pictures per step.
        image_size: side of the model's input in pixels.
        learning_rate: the highest, of a cosine schedule with a warm-up.
        name: what tables call the model.
        quiet: show no progress bar.

    Returns:
        The folder.

    Raises:
        DatasetError: columns of SPAR are missing, or there are too few pictures.
        MissingExtra: open_clip is not installed.
    """
    open_clip = tools.need("open_clip", "training")
    import torch

    table = dataset.table()
    missing = [column for column in _COLUMNS if column not in table.column_names]
    if missing:
        raise DatasetError(f"training needs the columns of SPAR; {', '.join(missing)} missing")
    facts = [Facts.of(row) for row in table.select(list(_COLUMNS)).to_pylist()]
    if len(facts) < 2:
        raise DatasetError(f"training needs pictures; the dataset has {len(facts)}")
    animals = sorted({animal.name for fact in facts for animal in fact.animals} - {BLANK})
    worlds = sorted({fact.world for fact in facts})

    rng = np.random.default_rng(seed)
    config = tiny_config(image_size)
    module, tokenizer = build_tiny(config, seed)
    where = tools.device()
    module.to(where).train()
    model: Any = module
    pixels = torch.from_numpy(tiny_preprocess(image_size)([rgb(i) for i in dataset.iter_images()])).to(where)
    contrast = open_clip.ClipLoss()
    # Embeddings of words that never occur must not be pulled about by weight decay; nor must scales and biases.
    decayed = [p for n, p in module.named_parameters() if p.ndim > 1 and "token_embedding" not in n]
    free = [p for n, p in module.named_parameters() if p.ndim <= 1 or "token_embedding" in n]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}], lr=learning_rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    tokens = _Tokens(tokenizer)
    order: list[int] = []
    with training_bar(quiet) as progress:
        bar = progress.add_task("training", total=steps, loss="")
        for step in range(steps):
            while len(order) < batch_size:
                order += [int(i) for i in rng.permutation(len(facts))]
            chosen, order = order[:batch_size], order[batch_size:]
            batch = _vary(pixels[chosen], rng)
            questions = _questions([facts[i] for i in chosen], animals, worlds, rng)
            texts = sorted({text for _, candidates, _ in questions.values() for text in candidates})
            place = {text: index for index, text in enumerate(texts)}
            image = torch.nn.functional.normalize(model.encode_image(batch), dim=-1)
            text = torch.nn.functional.normalize(model.encode_text(tokens(texts).to(where)), dim=-1)
            scale = model.logit_scale.exp()
            loss = torch.zeros((), device=where)
            for kind, (rows, candidates, true) in questions.items():
                logits = scale * image[rows] @ text[[place[c] for c in candidates]].T
                loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(true, device=where))
                if kind == "full":
                    # open_clip's loss holds that no caption fits two pictures of the batch: one picture per caption.
                    firsts = list({candidates[t]: row for row, t in zip(rows, true, strict=True)}.items())
                    images = image[[row for _, row in firsts]]
                    loss = loss + contrast(images, text[[place[caption] for caption, _ in firsts]], scale)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, float(np.log(100)))
            progress.update(bar, completed=step + 1, loss=f"loss {loss.item() / (len(questions) + 1):.2f}")
    training = {
        "seed": seed,
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "pictures": len(facts),
        "animals": animals,
        "worlds": worlds,
        "loss": round(loss.item(), 4),
    }
    return save_tiny(Path(out), module.cpu().eval(), name, config, training)


def _questions(
    batch: Sequence[Facts], animals: Sequence[str], worlds: Sequence[str], rng: np.random.Generator
) -> dict[Kind, tuple[list[int], list[str], list[int]]]:
    """Return, for each kind: the pictures it says something of, all its captions at hand, and the true one of each."""
    questions: dict[Kind, tuple[list[int], list[str], list[int]]] = {}
    others = []
    for facts in batch:
        alike = look_alikes(facts, animals, worlds)
        # The hardest, the swapped one, is last; of the others a few are enough, since each caption costs time.
        easy = max(0, len(alike) - 1)
        some = rng.choice(easy, min(_LOOK_ALIKES, easy), replace=False) if easy else np.zeros(0, np.int64)
        others.append([*alike[-1:], *(alike[int(i)] for i in some)])
    for kind in KINDS:
        truths = [(row, caption) for row, facts in enumerate(batch) if (caption := say(facts, kind)) is not None]
        captions = {caption for _, caption in truths}
        for row, _ in truths:
            captions |= {caption for facts in others[row] if (caption := say(facts, kind)) is not None}
        if len(captions) > 1 and truths:
            candidates = sorted(captions)
            place = {caption: index for index, caption in enumerate(candidates)}
            questions[kind] = ([row for row, _ in truths], candidates, [place[caption] for _, caption in truths])
    return questions


class _Tokens:
    """A tokenizer that reads each text once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, Any] = {}

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        import torch

        new = [text for text in texts if text not in self._known]
        if new:
            self._known.update(zip(new, self._tokenizer(new), strict=True))
        return torch.stack([self._known[text] for text in texts])


def _vary(batch: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shift each picture by a few pixels and change its brightness and colours a little; never mirror."""
    import torch

    count = len(batch)
    moved = tools.shifted(batch, _SHIFT, rng)
    gain = rng.normal(1, 0.08, (count, 1, 1, 1)) * rng.normal(1, 0.03, (count, 3, 1, 1))
    offset = rng.normal(0, 0.08, (count, 1, 1, 1)) + rng.normal(0, 0.03, (count, 3, 1, 1))
    return moved * torch.from_numpy(gain).to(batch) + torch.from_numpy(offset).to(batch)
