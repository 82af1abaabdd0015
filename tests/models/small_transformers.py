"""Folders as ``save_pretrained`` writes them, made here: real configurations, tokenizers of our captions' words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEXT = (
    "a photo of zebra giant tortoise penguin elephant goldfish on the left right bottom top picture in desert snow "
    "this is environment and textured with blue red very long caption more goat USER ASSISTANT : describe an image"
)
WORDS = TEXT.split()


def tokenizer(folder: Path, words: list[str] = WORDS, **more: Any) -> Any:
    """Write a word-level tokenizer with a start and an end token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *more.pop("special", [])]
    vocabulary = {word: i for i, word in enumerate([*special, *dict.fromkeys(w.lower() for w in words)])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        bos_token="[CLS]", eos_token="[SEP]", **more,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def folder_of(folder: Path, config: Any, architecture: str, processor: Any = None, words: bool = True) -> Path:
    """Write configuration, image processor and tokenizer, no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config.architectures = [architecture]
    config.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    if words:
        tokenizer(folder)
    return folder
