"""Generative vision-language models by multiple choice: how likely is each caption, given the picture?

The answer is forced, token by token, so nothing is generated and nothing has to be parsed. A caption's score is one of

- ``token``: the mean log-likelihood of its tokens, so that longer names are not at a disadvantage;
- ``sum``: the log-likelihood of the caption;
- ``gain``: ``sum`` less the log-likelihood of the same caption with a grey picture: what the picture adds to what the
  model would have said anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import FloatArray, Images, pil_list

if TYPE_CHECKING:
    import torch

Likelihood = Literal["token", "sum", "gain"]
_AT_ONCE = 16  # captions in one batch
_GREY = Image.new("RGB", (224, 224), (128, 128, 128))
QUESTION = "Describe the picture."


class GenerativeScorer:
    """A model that writes text about pictures.

    Args:
        module: pictures and token ids to logits of the next token, as transformers' image-to-text models.
        processor: of pictures and texts together.
        info: the model's facts.
        likelihood: what a score is, see above.
        question: asked before the answer, where the processor has a chat template.
    """

    adapter = "GenerativeScorer"
    max_candidates = 64
    """Tasks with more candidates are asked as hard negatives only: each caption costs a pass."""

    def __init__(
        self,
        module: torch.nn.Module,
        processor: Any,
        info: ModelInfo,
        likelihood: Likelihood = "token",
        question: str = QUESTION,
    ) -> None:
        self.device = tools.device()
        self.module = module.to(self.device).float().eval()
        self.processor = processor
        self.likelihood: Likelihood = likelihood
        self.prefix = self._prefix(question)
        self._grey: dict[str, float] = {}
        # The processor prepares pictures in a way of its own.
        self.info = replace(info, kind="scorer", preprocess=None, text=f"likelihood per {likelihood}")
        tokenizer = getattr(processor, "tokenizer", processor)
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    def change(self, **facts: Any) -> None:
        """Change declared facts, or ``likelihood``.

        Raises:
            ModelError: an unknown kind of likelihood, or a preprocessing, which is the processor's own.
        """
        likelihood = facts.pop("likelihood", self.likelihood)
        if likelihood not in ("token", "sum", "gain"):
            raise ModelError(f"likelihood is token, sum or gain, not '{likelihood}'")
        if facts.get("preprocess") is not None:
            raise ModelError(f"'{self.info.name}' prepares pictures in a way of its own")
        self.likelihood = likelihood
        self.info = replace(self.info, **facts, text=f"likelihood per {likelihood}")

    def score(self, images: Images, captions: Sequence[str]) -> FloatArray:
        """Return the score of every picture with every caption, (N, K)."""
        table = np.empty((len(images), len(captions)), np.float32)
        for row, image in enumerate(pil_list(images)):
            table[row] = self._likelihoods(image, captions)
        if self.likelihood == "gain":
            new = [caption for caption in dict.fromkeys(captions) if caption not in self._grey]
            self._grey.update(zip(new, self._likelihoods(_GREY, new), strict=True))
            table -= np.array([self._grey[caption] for caption in captions], np.float32)
        return table

    def _prefix(self, question: str) -> str:
        """Return what stands before the answer."""
        template = getattr(self.processor, "chat_template", None)
        if template:
            chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
            return str(self.processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))
        token = getattr(self.processor, "image_token", None)
        return f"{token}\n" if isinstance(token, str) else ""

    def _inputs(self, image: Image.Image, texts: Sequence[str]) -> Any:
        return self.processor(images=[image] * len(texts), text=list(texts), return_tensors="pt", padding=True)

    def _likelihoods(self, image: Image.Image, captions: Sequence[str]) -> list[float]:
        import torch

        found: list[float] = []
        before = self._inputs(image, [self.prefix])["input_ids"][0].tolist()
        low = self.info.precision == "bfloat16"
        for start in range(0, len(captions), _AT_ONCE):
            part = captions[start : start + _AT_ONCE]
            inputs = self._inputs(image, [self.prefix + caption for caption in part]).to(self.device)
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
                logits = self.module(**inputs).logits.float()
            ids = inputs["input_ids"]
            if logits.shape[:2] != ids.shape:
                raise ModelError(
                    f"'{self.info.name}' returns logits of shape {tuple(logits.shape)} for tokens of shape "
                    f"{tuple(ids.shape)}: its answer cannot be told from its question"
                )
            chances = torch.log_softmax(logits[:, :-1], -1).gather(-1, ids[:, 1:, None])[..., 0]
            for row, given in enumerate(ids.tolist()):
                shared = next((i for i, (a, b) in enumerate(zip(before, given, strict=False)) if a != b), len(before))
                shared = max(1, min(shared, len(given) - 1))
                told = inputs["attention_mask"][row, shared:].bool()
                mine = chances[row, shared - 1 :][told]
                found.append(float(mine.mean() if self.likelihood == "token" else mine.sum()))
        return found
