"""Trains an image-text model of objects, or of patches, on minimal pairs of captioned pictures; research.

Both pictures of a pair are in one batch, and a batch asks about one thing: where two of its captions are equal, both
pictures are right, so that the loss never holds that a true caption is false.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.models import TokenConfig, TokenKind, TokenModel, load_tokens, words_of_caption
from torchmultiverse.store import ImageSet, manifest_hash
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, cosine_after_warmup
from torchmultiverse.train.settings import TokenTraining

if TYPE_CHECKING:
    import torch

_LARGEST_SCALE = float(np.log(100))
MOST_PICTURES = 50_000
"""Whose tokens are held in memory."""


@dataclass(frozen=True)
class CaptionPairs:
    """Minimal pairs that ask about one thing.

    Attributes:
        name: of what is asked.
        rows: of both pictures of each pair, int64 (P, 2).
        captions: of both, (P, 2).
    """

    name: str
    rows: NDArray[np.int64]
    captions: Sequence[tuple[str, str]]


class TokenObjective(Objective):
    """The contrastive loss between pictures and captions, in which equal captions are all right.

    Args:
        model: to be trained.
        images: with the numbers of their objects, where the model reads them.
        pairs: by what they ask about.
        training: how.

    Raises:
        DatasetError: no pairs, or too many pictures.
    """

    name = "token encoder"

    def __init__(
        self, model: TokenModel, images: ImageSet, pairs: Sequence[CaptionPairs], training: TokenTraining
    ) -> None:
        self.rng = self._rng = np.random.default_rng(training.seed)
        self._model, self._training = model, training
        self._pairs = [one for one in pairs if len(one.rows)]
        if not self._pairs:
            raise DatasetError("a token encoder is trained on minimal pairs; there are none")
        every = np.unique(np.concatenate([one.rows.ravel() for one in self._pairs]))
        if len(every) > MOST_PICTURES:
            raise DatasetError(f"{len(every):,} pictures; a token encoder is trained on {MOST_PICTURES:,} at most")
        self.name = f"{model.info.name}"
        self._place = {int(row): number for number, row in enumerate(every)}
        self._held = model.prepared(images, every)
        each = max(1, training.batch_size // 2)
        self.steps_per_epoch = sum(-(-len(one.rows) // each) for one in self._pairs)

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return self._model.modules()

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        each = max(1, self._training.batch_size // 2)
        plan = [
            (one, part)
            for one in self._pairs
            for part in np.array_split(self._rng.permutation(len(one.rows)), -(-len(one.rows) // each))
        ]
        for number in self._rng.permutation(len(plan)):
            one, part = plan[number]
            places = [self._place[int(row)] for k in part for row in one.rows[k]]
            yield (
                self._model.joined([self._held[place] for place in places]),
                [text for k in part for text in one.captions[k]],
            )

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        import torch

        pictures, captions = batch
        held = self._model.modules()
        tokens = torch.from_numpy(self._model.tokens(captions)).to(self.device)
        image = torch.nn.functional.normalize(held["images"](_moved(pictures, self.device)), dim=-1)
        text = torch.nn.functional.normalize(held["captions"](tokens), dim=-1)
        numbers = {caption: number for number, caption in enumerate(dict.fromkeys(captions))}
        codes = torch.tensor([numbers[caption] for caption in captions], device=self.device)
        with torch.autocast(self.device.type, enabled=False):
            scores = self._model.scale["log"].exp() * image.float() @ text.float().T
            right = (codes[:, None] == codes[None]).float()
            right = right / right.sum(1, keepdim=True)
            rows = -(right * torch.log_softmax(scores, 1)).sum(1)
            columns = -(right * torch.log_softmax(scores.T, 1)).sum(1)
            found: torch.Tensor = (rows.mean() + columns.mean()) / 2
        return found

    @override
    def after_step(self, step: int) -> None:
        import torch

        with torch.no_grad():
            self._model.scale["log"].clamp_(0, _LARGEST_SCALE)


def _moved(pictures: Any, device: Any) -> Any:
    return pictures.to(device) if hasattr(pictures, "to") else tuple(part.to(device) for part in pictures)


def train_tokens(
    images: ImageSet,
    pairs: Sequence[CaptionPairs],
    out: str | Path,
    training: TokenTraining | None = None,
    kind: TokenKind = "tokens",
    *,
    quiet: bool = False,
) -> TokenModel:
    """Train a model from scratch and save it; returns it.

    A run that was interrupted is continued by the same call, and one that was finished is loaded.

    Args:
        images: with the numbers of their objects in the fourth channel, for tokens.
        pairs: to train on, by what they ask about.
        out: folder to write.
        training: how.
        kind: of encoder: objects with additive attention, without it, or patches.
        quiet: show no bar.

    Raises:
        DatasetError: no pairs, too many pictures, or another run was interrupted there.
        ModelError: a shape that cannot be, or the loss is no longer finite.
    """
    training, out = training or TokenTraining(), Path(out)
    words = sorted({w for one in pairs for two in one.captions for text in two for w in words_of_caption(text)})
    config = TokenConfig(
        kind, training.width, training.layers, training.heads, training.size, training.patch, tuple(words),
        training.seed,
    )  # fmt: skip
    facts = {"kind": kind, "dataset": manifest_hash(images), "pairs": sum(len(one.rows) for one in pairs)}
    facts |= training.as_dict()
    if (out / _DONE).is_file() and not (out / RUNNING).exists() and (out / _DONE).read_text() == _told(facts):
        return load_tokens(out)
    model = TokenModel(config)
    objective = TokenObjective(model, images, pairs, training)
    settings = LoopSettings(
        epochs=training.epochs, steps=training.epochs * objective.steps_per_epoch,
        learning_rate=training.learning_rate, weight_decay=0.01, clip_norm=1.0, seed=training.seed,
        schedule=cosine_after_warmup(training.warmup),
    )  # fmt: skip
    loop = Loop(objective, settings, checkpoint=out / RUNNING, identity=facts, quiet=quiet).run()
    for module in model.modules().values():
        module.cpu()
    model.save(out)
    (out / _DONE).write_text(_told(facts))
    loop.finish()
    return model


_DONE = "training.json"


def _told(facts: dict[str, Any]) -> str:
    import json

    return json.dumps(facts, indent=1, sort_keys=True) + "\n"
