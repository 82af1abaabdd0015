"""A small CLIP that two CPU cores can train: an open_clip model object with a small configuration, and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmultiverse.errors import ModelError
from torchmultiverse.json_text import read_json
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.clip import ClipModel
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import CLIP_MEAN, CLIP_STD, Preprocess

if TYPE_CHECKING:
    import torch

TINY_CONFIG, TINY_WEIGHTS = "config.json", "model.pt"
_FORMAT = 1


def tiny_config(image_size: int = 64) -> dict[str, Any]:
    """Return the configuration of the open_clip model: a small ModifiedResNet and a two-layer text transformer."""
    return {
        "embed_dim": 64,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 32, "image_size": image_size},
        "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    }


def tiny_preprocess(image_size: int) -> Preprocess:
    """Return the preprocessing of the small model."""
    return Preprocess((image_size, image_size), "squash", 1.0, "bicubic", CLIP_MEAN, CLIP_STD)


def build_tiny(config: dict[str, Any], seed: int) -> tuple[torch.nn.Module, Any]:
    """Return the untrained model and its tokenizer.

    Raises:
        MissingExtra: open_clip is not installed.
    """
    open_clip = tools.need("open_clip", "a small CLIP")
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    return module, open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])


def save_tiny(
    folder: Path, module: torch.nn.Module, name: str, config: dict[str, Any], training: dict[str, Any]
) -> Path:
    """Write ``config.json`` and ``model.pt``; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tools.save_tensors(folder / TINY_WEIGHTS, module.state_dict())
    text = json.dumps({"format": _FORMAT, "name": name, "open_clip": config, "training": training}, indent=1)
    (folder / TINY_CONFIG).write_text(text + "\n")
    return folder


def load_tiny(rest: str) -> ClipModel:
    """Return the model of a folder that :func:`~torchmultiverse.train.clip` wrote, or its untrained twin.

    Args:
        rest: ``FOLDER`` or ``FOLDER/random``.

    Raises:
        ModelError: the folder holds no such model.
    """
    folder = Path(rest)
    untrained = folder.name == "random" and not (folder / TINY_CONFIG).exists()
    if untrained:
        folder = folder.parent
    try:
        described = read_json((folder / TINY_CONFIG).read_text())
        config, training, name = described["open_clip"], described["training"], described["name"]
        size = int(config["vision_cfg"]["image_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} holds no small CLIP ({TINY_CONFIG}, {TINY_WEIGHTS}): {error}") from None
    # The twin starts from another seed than training did: it shares nothing with the trained one but its shape.
    module, tokenizer = build_tiny(config, int(training.get("seed", 0)) + (1 if untrained else 0))
    if not untrained:
        tools.fill(module, folder / TINY_WEIGHTS)
    about = "an open_clip CLIP with a small ResNet, "
    about += "untrained" if untrained else f"trained from scratch on {training.get('pictures')} pictures"
    return ClipModel(
        module,
        tokenizer,
        ModelInfo(
            f"{name}, untrained" if untrained else f"{name}, trained",
            "image-text",
            tiny_preprocess(size),
            weights="random" if untrained else str(folder / TINY_WEIGHTS),
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=about,
            embedding=int(config["embed_dim"]),
            text=f"open_clip's tokenizer, {config['text_cfg']['context_length']} tokens, padded to that",
        ),
    )
