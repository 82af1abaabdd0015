"""Splits as Hugging Face ``datasets`` knows them: each a set of files of its own, with a name of letters and digits."""

from __future__ import annotations

import hashlib
import re

TRAIN = "train"
_RESERVED = ("all",)
_LONGEST = 60


def split_name(value: object) -> str:
    """Return what a split is called outside: its own name where ``datasets`` takes it.

    Hyphens become ``_``. What else is no letter, digit or ``_`` of ASCII does so too, and the name ends in eight digits
    of its SHA-256, so that it stays another's; nothing at all is ``train``.

    >>> split_name("held-out"), split_name("")
    ('held_out', 'train')
    """
    text = "" if value is None else str(value)
    name = text.replace("-", "_")
    if re.fullmatch(rf"\w{{1,{_LONGEST}}}", name, re.ASCII) and name not in _RESERVED:
        return name
    if not text:
        return TRAIN
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)[:_LONGEST]
    return f"{plain}_{mark}"
