"""JSON text of somebody else, read without deep recursion."""

from __future__ import annotations

import json
import re
from typing import Any

MOST_DEPTH = 200
"""Arrays and objects within each other. Python's own limit is the free part of the call stack: what a finalizer or a
callback needs when it happens to run down there is then missing, and it is cut off half done."""
_PIECES = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def read_json(text: str | bytes, **keywords: Any) -> Any:
    """Return the value of a JSON text.

    Args:
        text: as `json.loads` takes it.
        **keywords: of `json.loads`.

    Raises:
        ValueError: it is no JSON, or has more than `MOST_DEPTH` arrays and objects within each other.

    Example:
        >>> read_json('{"a": [1, 2]}')
        {'a': [1, 2]}
        >>> read_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: more than 200 brackets within each other
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if text.count("[") + text.count("{") > MOST_DEPTH and _deepest(text) > MOST_DEPTH:
        raise ValueError(f"more than {MOST_DEPTH} brackets within each other")
    return json.loads(text, **keywords)


def _deepest(text: str) -> int:
    depth = deepest = 0
    for piece in _PIECES.finditer(text):
        first = text[piece.start()]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest
