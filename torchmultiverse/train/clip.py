"""Trains a small image-text model from scratch on a SPAR-like dataset; a CPU is enough."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.images import rgb
from torchmultiverse.models import build_tiny, save_tiny, tiny_config, tiny_preprocess
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.scenes import BLANK
from torchmultiverse.store import PUBLISHED
from torchmultiverse.train.captions import (
    CAPTION_KINDS,
    CaptionKind,
    ImageContent,
    caption_of,
    hard_negatives,
    words_of,
)
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, one_cycle
from torchmultiverse.train.settings import ClipTraining

if TYPE_CHECKING:
    import torch

_COLUMNS = tuple(PUBLISHED["SPAR"])
_NEGATIVES = 1  # false captions of each kind per image and step, beside the swapped one
_SHIFT = 5  # pixels by which a training image may be shifted; left and right stay what they are
_EVERY = 160  # steps between checkpoints, about 10 seconds on one core
_LARGEST_SCALE = float(np.log(100))

Questions = dict[CaptionKind, tuple[list[int], list[str], list[int]]]
"""By kind: the images that have a caption of it, all captions at hand, and the place of the true one of each."""


class CaptionObjective(Objective):
    """open_clip's contrastive loss on full captions, and the choice among captions of each kind.

    Only the rows of the model's table of tokens that captions use are trained, which is what they would become if all
    were: the others have no gradient, and nothing decays them. `put_back` returns them to the table.

    Args:
        module: of open_clip.
        tokenizer: texts to tokens.
        pixels: normalised images, float32 (N, 3, S, S), on the CPU.
        contents: what each image shows.
        training: steps and batch size.
    """

    name = "image-text model"

    def __init__(
        self, module: Any, tokenizer: Any, pixels: torch.Tensor, contents: Sequence[ImageContent],
        training: ClipTraining,
    ) -> None:  # fmt: skip
        open_clip = tools.need("open_clip", "training")
        import torch

        self.rng = self._rng = np.random.default_rng(training.seed)
        self._model = module.to(memory_format=torch.channels_last)  # two thirds of the time on a CPU
        self._pixels, self._contents, self._training = pixels, contents, training
        self.animals = sorted({animal.name for one in contents for animal in one.animals} - {BLANK})
        self.worlds = sorted({one.world for one in contents})
        self._tokens = _Tokens(tokenizer, words_of(contents))
        table = module.token_embedding.weight
        self._words = torch.nn.Embedding(len(self._tokens.used), table.shape[1])
        with torch.no_grad():
            self._words.weight.copy_(table[self._tokens.used])
        table.requires_grad_(False)
        self._contrast = open_clip.ClipLoss()
        self._order: list[int] = []

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return {"module": self._model, "words": self._words}

    @override
    def parameter_groups(self) -> list[dict[str, Any]]:
        learnt = [p for p in self._model.parameters() if p.requires_grad]
        decayed = [p for p in learnt if p.ndim > 1]
        free = [*(p for p in learnt if p.ndim <= 1), self._words.weight]  # scales, biases and words are not pulled to 0
        return [{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0.0}]

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        size = self._training.batch_size
        for _ in range(epoch * _EVERY, min(self._training.steps, (epoch + 1) * _EVERY)):
            while len(self._order) < size:
                self._order += [int(i) for i in self._rng.permutation(len(self._contents))]
            chosen, self._order = self._order[:size], self._order[size:]
            images = _jittered(self._pixels[chosen].to(self.device), self._rng)
            yield images, _questions([self._contents[i] for i in chosen], self.animals, self.worlds, self._rng)

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        import torch

        images, questions = batch
        texts = sorted({text for _, candidates, _ in questions.values() for text in candidates})
        place = {text: index for index, text in enumerate(texts)}
        image, text = self._model(images)[0], self.read(texts)
        scale = self._model.logit_scale.exp()
        loss = torch.zeros((), device=self.device)
        for kind, (rows, candidates, true) in questions.items():
            logits = scale * image[rows] @ text[[place[c] for c in candidates]].T
            loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(true, device=self.device))
            if kind == "full":
                # open_clip's loss holds that no caption fits two images of the batch: one image per caption.
                firsts = list({candidates[t]: row for row, t in zip(rows, true, strict=True)}.items())
                chosen = image[[row for _, row in firsts]]
                loss = loss + self._contrast(chosen, text[[place[caption] for caption, _ in firsts]], scale)
        return loss

    def read(self, texts: Sequence[str]) -> torch.Tensor:
        """Return a vector of unit length for each text, (N, D).

        Only as many places are read as the longest has tokens: what follows the end of a text has no effect on it.
        """
        from torch.func import functional_call

        tokens = self._tokens(texts).to(self.device)
        length = tokens.shape[1]
        shortened = {
            "token_embedding.weight": self._words.weight,
            "positional_embedding": self._model.positional_embedding[:length],
            "attn_mask": self._model.attn_mask[:length, :length],
        }
        found: torch.Tensor = functional_call(self._model, shortened, (None, tokens))[1]
        return found

    @property
    def used_tokens(self) -> list[int]:
        """The rows of the table that are trained, ascending."""
        return self._tokens.used

    def put_back(self) -> None:
        """Write the trained rows into the model's table of tokens."""
        import torch

        table = self._model.token_embedding.weight
        with torch.no_grad():
            table[self._tokens.used] = self._words.weight
        table.requires_grad_(True)
        self._model.to(memory_format=torch.contiguous_format)

    @override
    def after_step(self, step: int) -> None:
        import torch

        with torch.no_grad():
            self._model.logit_scale.clamp_(0, _LARGEST_SCALE)

    @override
    def state(self) -> dict[str, Any]:
        return {"order": self._order}

    @override
    def load_state(self, state: Mapping[str, Any]) -> None:
        self._order = list(state["order"])


def train_clip(
    dataset: Any,
    out: str | Path,
    training: ClipTraining | None = None,
    *,
    name: str = "tiny CLIP",
    quiet: bool = False,
) -> Path:
    """Train and save a small CLIP; load it with ``load_model(f"tiny:{folder}")``.

    Each step takes a batch of images and asks open_clip's contrastive loss which full caption belongs to which;
    then, for each kind of caption (scene, animals, sides, textures), which of all captions of that kind in the
    batch, and of their hard negatives (animals swapped, another animal, another side, another world), is true.
    Images are shifted and their colours changed a little; they are never mirrored.

    A run that was interrupted is continued by the same call.

    Args:
        dataset: images with the SPAR columns (``table``, ``iter_images``).
        out: folder to write.
        training: how.
        name: what tables call the model.
        quiet: show no progress bar.

    Returns:
        The folder.

    Raises:
        DatasetError: columns of SPAR are missing, there are too few images, or another run was interrupted there.
        ModelError: the loss is no longer finite.
        MissingExtra: open_clip is not installed.
    """
    tools.need("open_clip", "training")
    import torch

    training = training or ClipTraining()
    contents = _contents(dataset)
    config = tiny_config(training.image_size)
    module, tokenizer = build_tiny(config, training.seed)
    pixels = torch.from_numpy(tiny_preprocess(training.image_size)([rgb(i) for i in dataset.iter_images()]))
    objective = CaptionObjective(module, tokenizer, pixels, contents, training)
    told = {
        "seed": training.seed,
        "steps": training.steps,
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "pictures": len(contents),
        "animals": objective.animals,
        "worlds": objective.worlds,
    }
    settings = LoopSettings(
        epochs=-(-training.steps // _EVERY), steps=training.steps, learning_rate=training.learning_rate,
        schedule=one_cycle(training.learning_rate), clip_norm=1.0, precision="float32", seed=training.seed,
    )  # fmt: skip
    identity = {**told, "image_size": training.image_size}
    loop = Loop(objective, settings, checkpoint=Path(out) / RUNNING, identity=identity, quiet=quiet).run()
    objective.put_back()
    folder = save_tiny(Path(out), module.cpu(), name, config, {**told, "loss": round(loop.last_loss, 4)})
    loop.finish()
    return folder


def _contents(dataset: Any) -> list[ImageContent]:
    """Return what each image of a dataset shows.

    Raises:
        DatasetError: columns of SPAR are missing, or there are too few images.
    """
    table = dataset.table()
    missing = [column for column in _COLUMNS if column not in table.column_names]
    if missing:
        raise DatasetError(f"training needs the columns of SPAR; {', '.join(missing)} missing")
    contents = [ImageContent.of(row) for row in table.select(list(_COLUMNS)).to_pylist()]
    if len(contents) < 2:
        raise DatasetError(f"training needs images; the dataset has {len(contents)}")
    return contents


def _questions(
    batch: Sequence[ImageContent], animals: Sequence[str], worlds: Sequence[str], rng: np.random.Generator
) -> Questions:
    """Return, for each kind of caption, what is asked of a batch."""
    questions: Questions = {}
    others = []
    for content in batch:
        negatives = hard_negatives(content, animals, worlds)
        # The hardest, the swapped one, is last; of the others a few are enough, since each caption costs time.
        easy = max(0, len(negatives) - 1)
        some = rng.choice(easy, min(_NEGATIVES, easy), replace=False) if easy else np.zeros(0, np.int64)
        others.append([*negatives[-1:], *(negatives[int(i)] for i in some)])
    for kind in CAPTION_KINDS:
        targets = [(row, caption) for row, one in enumerate(batch) if (caption := caption_of(one, kind)) is not None]
        captions = {caption for _, caption in targets}
        for row, _ in targets:
            captions |= {caption for one in others[row] if (caption := caption_of(one, kind)) is not None}
        if len(captions) > 1 and targets:
            candidates = sorted(captions)
            place = {caption: index for index, caption in enumerate(candidates)}
            questions[kind] = ([row for row, _ in targets], candidates, [place[caption] for _, caption in targets])
    return questions


class _Tokens:
    """A tokenizer that reads each text once, and numbers the tokens that occur.

    Args:
        tokenizer: texts to tokens, (N, L), zero after the end.
        words: all that texts are made of.

    Attributes:
        used: the tokenizer's numbers of the tokens that occur, ascending: the end of a text stays the largest, by which
            open_clip finds it.
    """

    def __init__(self, tokenizer: Any, words: Iterable[str]) -> None:
        self._tokenizer = tokenizer
        self.used: list[int] = sorted({token for row in tokenizer(sorted(words)).tolist() for token in row} | {0})
        self._place = {token: place for place, token in enumerate(self.used)}
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the places of each text's tokens in `used`, (N, length of the longest)."""
        import torch

        rows = [torch.tensor(self._row(text)) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def _row(self, text: str) -> list[int]:
        if text not in self._known:
            (row,) = self._tokenizer([text]).tolist()
            self._known[text] = [self._place[token] for token in row[: row.index(max(row)) + 1]]
        return self._known[text]


def _jittered(batch: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shift each image by a few pixels and change its brightness and colours a little; never mirror."""
    import torch

    count = len(batch)
    moved = tools.shifted(batch, _SHIFT, rng)
    gain = rng.normal(1, 0.08, (count, 1, 1, 1)) * rng.normal(1, 0.03, (count, 3, 1, 1))
    offset = rng.normal(0, 0.08, (count, 1, 1, 1)) + rng.normal(0, 0.03, (count, 3, 1, 1))
    return moved * torch.from_numpy(gain).to(batch) + torch.from_numpy(offset).to(batch)
