"""The networks of the semantic-token encoder, of patches in its place, and of captions; imported where they are used.

Source: N. Kalibhat, thesis (2024), chapter 6: 8 layers, 8 heads, width 512; the additive attention
``concat(0, cumsum(exp(a)))[R]``, R the ranks of eq. 6.1, is added to the scores of every head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from torchmultiverse.models.semantic_tokens import (
    IMAGE_SIZE,
    OBJECT_SIZE,
    RANKS,
    RELATIONS,
    SceneTokens,
    ranks_of,
)


class TokenBatch(NamedTuple):
    """Tokens of some pictures, padded with zeros to the longest.

    Attributes:
        image: float32 (B, `IMAGE_SIZE`).
        objects: float32 (B, V, `OBJECT_SIZE`).
        relations: int64 (B, U).
        order: where each token stands among picture, objects and relations, int64 (B, T).
        ranks: int64 (B, T, T).
        valid: whether a token is one, bool (B, T).
    """

    image: torch.Tensor
    objects: torch.Tensor
    relations: torch.Tensor
    order: torch.Tensor
    ranks: torch.Tensor
    valid: torch.Tensor

    def to(self, device: Any) -> TokenBatch:
        """Return it on a device."""
        return TokenBatch(*(part.to(device) for part in self))


def token_batch(every: Sequence[SceneTokens]) -> TokenBatch:
    """Return the tokens of some pictures as one batch."""
    most_v = max(1, *(len(one.objects) for one in every))
    most_u = max(1, *(len(one.relations) for one in every))
    length = 1 + max(len(one.objects) + len(one.relations) for one in every)
    objects = np.zeros((len(every), most_v, OBJECT_SIZE), np.float32)
    relations = np.zeros((len(every), most_u), np.int64)
    order = np.zeros((len(every), length), np.int64)
    ranks = np.zeros((len(every), length, length), np.int64)
    valid = np.zeros((len(every), length), bool)
    for place, one in enumerate(every):
        v, u = len(one.objects), len(one.relations)
        objects[place, :v], relations[place, :u] = one.objects, one.relations
        order[place, : 1 + v + u] = [0, *range(1, 1 + v), *range(1 + most_v, 1 + most_v + u)]
        ranks[place, : 1 + v + u, : 1 + v + u] = ranks_of(one)
        valid[place, : 1 + v + u] = True
    image = np.stack([one.image for one in every])
    return TokenBatch(*(torch.from_numpy(part) for part in (image, objects, relations, order, ranks, valid)))


class AdditiveBias(nn.Module):
    """What is added to attention scores by rank: 0 for rank 0, more for each further one, as learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(RANKS))

    def weights(self) -> torch.Tensor:
        """Return what each rank adds, (8,): ``concat(0, cumsum(exp(a)))``, ascending whatever ``a`` is."""
        return torch.cat([self.a.new_zeros(1), torch.cumsum(torch.exp(self.a), 0)])

    def forward(self, ranks: torch.Tensor) -> torch.Tensor:
        """Return what is added, float32 (B, T, T) of int64 (B, T, T)."""
        found: torch.Tensor = self.weights()[ranks]
        return found


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        b, t, w = x.shape
        q, k, v = self.qkv(self.before(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(found.transpose(1, 2).reshape(b, t, w))
        after: torch.Tensor = x + self.mlp(self.between(x))
        return after


class Transformer(nn.Module):
    """Layers of attention that take what is added to their scores."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.end = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Return tokens, (B, T, W) of (B, T, W); ``bias`` is (B, T, T), or (B, 1, T) for keys alone."""
        for block in self.blocks:
            x = block(x, None if bias is None else bias[:, None].to(x.dtype))
        found: torch.Tensor = self.end(x)
        return found


def _mlp(size: int, width: int) -> nn.Sequential:
    """Return the three layers with ReLU by which the source brings features of a picture to the width."""
    return nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


class TokenEncoder(nn.Module):
    """Pictures as tokens of what is in them; the picture's own token is the output, (B, W)."""

    def __init__(self, width: int, layers: int, heads: int, additive: bool = True) -> None:
        super().__init__()
        self.of_image, self.of_object = _mlp(IMAGE_SIZE, width), _mlp(OBJECT_SIZE, width)
        self.of_relation = nn.Embedding(len(RELATIONS), width)
        self.kinds = nn.Parameter(0.02 * torch.randn(3, width))
        self.bias = AdditiveBias() if additive else None
        self.body, self.out = Transformer(width, layers, heads), nn.Linear(width, width)

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """Return vectors of pictures, (B, W)."""
        image = self.of_image(batch.image)[:, None] + self.kinds[0]
        objects = self.of_object(batch.objects) + self.kinds[1]
        relations = self.of_relation(batch.relations) + self.kinds[2]
        every = torch.cat([image, objects, relations], 1)
        tokens = torch.gather(every, 1, batch.order[..., None].expand(-1, -1, every.shape[-1]))
        shut = torch.zeros_like(batch.valid, dtype=tokens.dtype).masked_fill(~batch.valid, -torch.inf)[:, None]
        bias = shut.expand(-1, tokens.shape[1], -1)
        if self.bias is not None:
            bias = bias + self.bias(batch.ranks)
        found: torch.Tensor = self.out(self.body(tokens, bias)[:, 0])
        return found


class PatchEncoder(nn.Module):
    """The same with patches in place of objects: as many layers, heads and numbers, and positions that are learnt."""

    def __init__(self, width: int, layers: int, heads: int, size: int, patch: int) -> None:
        super().__init__()
        self.of_image = _mlp(IMAGE_SIZE, width)
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1 + (size // patch) ** 2, width))
        self.body, self.out = Transformer(width, layers, heads), nn.Linear(width, width)

    def forward(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return vectors of pictures, (B, W), of pixels (B, 3, S, S) and small wholes (B, `IMAGE_SIZE`)."""
        pixels, whole = batch
        tokens = torch.cat([self.of_image(whole)[:, None], self.patches(pixels).flatten(2).transpose(1, 2)], 1)
        found: torch.Tensor = self.out(self.body(tokens + self.places)[:, 0])
        return found


class CaptionEncoder(nn.Module):
    """Captions word by word; the mean over words is the output, (B, W)."""

    def __init__(self, words: int, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.body, self.out = Transformer(width, layers, heads), nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return vectors of numbers of words, int64 (B, L), 0 where there is none."""
        valid = tokens > 0
        shut = torch.zeros(valid.shape, device=tokens.device).masked_fill(~valid, -torch.inf)[:, None]
        x = self.words(tokens) + self.places[: tokens.shape[1]]
        found = self.body(x, shut.expand(-1, tokens.shape[1], -1))
        weight = valid[..., None].to(found.dtype)
        vectors: torch.Tensor = self.out((found * weight).sum(1) / weight.sum(1).clamp(min=1))
        return vectors
