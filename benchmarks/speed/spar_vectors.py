"""Vectors of SPAR's pictures and captions to score, 512 numbers each, of unit length.

- ``trained``: captions by the text tower of the small CLIP, trained here. Its transformer is 64 wide and its projection
  linear, so that captions lie in 64 dimensions; those of large CLIPs are as wide as their vectors.
- ``headed``: the same with a head that is not linear, so that captions fill all dimensions.
- ``planted``: template, animals, world and relations as sums of directions, with 5 % noise.
- ``random``.

Pictures stand for their factors, which a small network reads: 43,560 of them are not rendered for a benchmark.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation import Task
from torchmultiverse.models import build_tiny, tiny_config
from torchmultiverse.store import PUBLISHED

WIDTH = 512
KINDS = ("trained", "headed", "planted", "random")
_SAID = re.compile(r"\ba (\w+)(?: (?:on the|textured with) (\w+))?")
_NOISE = 16  # numbers of a picture that its factors do not say


class Vectors(NamedTuple):
    """Vectors of pictures, (N, 512), and of captions, (K, 512), and the scale of their softmax."""

    images: NDArray[np.float32]
    texts: NDArray[np.float32]
    scale: float


def vectors(kind: str, columns: Mapping[str, NDArray[Any]], tasks: Sequence[Task], captions: Sequence[str]) -> Vectors:
    """Return the vectors of a kind, see `KINDS`; they are the same whenever they are made."""
    if kind in ("trained", "headed"):
        return _trained(columns, tasks, captions, kind == "headed")
    return _planted(columns, captions) if kind == "planted" else _random(len(columns["scene_id"]), len(captions))


def _unit(found: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def _random(images: int, texts: int) -> Vectors:
    rng = np.random.default_rng(0)
    return Vectors(_unit(rng.normal(size=(images, WIDTH))), _unit(rng.normal(size=(texts, WIDTH))), 100.0)


def _planted(columns: Mapping[str, NDArray[Any]], captions: Sequence[str]) -> Vectors:
    """A caption is the sum of its template, animals, world, and what is said of each animal, and 5 % noise.

    A picture is the sum of what it shows, and 50 % noise.
    """
    rng = np.random.default_rng(0)
    words: dict[str, NDArray[np.float32]] = {}

    def word(name: str, weight: float = 1.0) -> NDArray[np.float32]:
        if name not in words:
            own = np.random.default_rng(zlib.crc32(name.encode())).normal(size=WIDTH)
            words[name] = np.asarray(weight * own / np.linalg.norm(own), np.float32)
        return words[name]

    def noisy(sums: Sequence[NDArray[np.float32]], share: float) -> NDArray[np.float32]:
        every = np.stack(sums)
        noise = _unit(rng.normal(size=every.shape)) * np.linalg.norm(every, axis=1, keepdims=True)
        return _unit(every + np.float32(share) * noise)

    texts = []
    for caption in captions:
        said = [(name, what) for name, what in _SAID.findall(caption) if name not in ("photo",)]
        names = [word(name) for name, _ in said] + [word(f"{name} {what}", 0.7) for name, what in said if what]
        texts.append(sum(names, word(_SAID.sub("a", caption))))
    one, two = (("character_name", "character1_pos", "character_texture"),
                ("character2_name", "character2_pos", "character2_texture"))  # fmt: skip
    images = []
    for row in range(len(columns["scene_id"])):
        found = word(str(columns["world_name"][row])).copy()
        for name, *what in (one, two):
            if (animal := str(columns[name][row])) != "blank":
                found += sum((word(f"{animal} {columns[of][row]}", 0.7) for of in what), word(animal))
        images.append(found)
    return Vectors(noisy(images, 0.5), noisy(texts, 0.05), 100.0)


def _trained(
    columns: Mapping[str, NDArray[Any]], tasks: Sequence[Task], captions: Sequence[str], headed: bool
) -> Vectors:
    """Train the text tower of the small CLIP against a tower that reads factors."""
    import torch

    factors = np.stack([np.unique(columns[n].astype(str), return_inverse=True)[1] for n in PUBLISHED["SPAR"]], 1)
    starts = np.concatenate([[0], np.cumsum(factors.max(0) + 1)])
    codes = torch.from_numpy(factors + starts[:-1])
    config = tiny_config()
    config["embed_dim"] = WIDTH
    clip, tokenizer = build_tiny(config, 0)
    rng = np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nn = torch.nn
        head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)) if headed else nn.Identity()
        tower = nn.Sequential(nn.Linear(int(starts[-1]) + _NOISE, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(),
                              nn.Linear(256, WIDTH))  # fmt: skip

        def images(rows: NDArray[np.int64]) -> torch.Tensor:
            read = torch.zeros(len(rows), int(starts[-1]) + _NOISE).scatter_(1, codes[rows], 1.0)
            read[:, int(starts[-1]) :] = 0.5 * torch.randn(len(rows), _NOISE)
            return nn.functional.normalize(tower(read), dim=-1)

        def texts(some: Sequence[str]) -> torch.Tensor:
            tokens = tokenizer(some)
            return nn.functional.normalize(head(8 * clip.encode_text(tokens)), dim=-1)

        trained = [p for name, p in clip.named_parameters() if not name.startswith("visual")]
        parameters = [*trained, *head.parameters(), *tower.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.01)
        steps = 300
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
        asked = [task for task in tasks if len(task.candidates) > 10]
        for _ in range(steps):
            task = asked[rng.integers(len(asked))]
            some = rng.choice(len(task.rows), 192)
            some = some[np.unique(task.labels[some], return_index=True)[1]]  # a caption is true of one picture
            told = texts([task.candidates[label] for label in task.labels[some]])
            logits = clip.logit_scale.exp() * images(task.rows[some]) @ told.T
            true = torch.arange(len(some))
            loss = nn.functional.cross_entropy(logits, true) + nn.functional.cross_entropy(logits.T, true)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                clip.logit_scale.clamp_(0, float(np.log(100)))
        with torch.no_grad():
            shown = [images(part) for part in np.array_split(np.arange(len(factors)), 16)]
            read = [texts(captions[start : start + 1024]) for start in range(0, len(captions), 1024)]
            scale = float(clip.logit_scale.exp())
    return Vectors(torch.cat(shown).numpy(), torch.cat(read).numpy(), scale)


def kept(folder: Path, kind: str, columns: Mapping[str, NDArray[Any]], tasks: Sequence[Task]) -> Vectors:
    """Return the vectors of a kind, from a folder where they were made before; captions are in order."""
    path = folder / f"{kind}.npz"
    if not path.exists():
        np.savez(path, **vectors(kind, columns, tasks, sorted_captions(tasks))._asdict())
    with np.load(path) as found:
        return Vectors(found["images"], found["texts"], float(found["scale"]))


def sorted_captions(tasks: Sequence[Task]) -> list[str]:
    """Return every caption of some tasks once, in order."""
    return sorted({caption for task in tasks if "image-text" in task.kinds for caption in task.candidates})
