"""Columns as people say them."""

from __future__ import annotations

from torchmultiverse.tables import column_in_words


def plain(factor: str) -> str:
    """Return a column's name as people say it."""
    return column_in_words(factor.replace("_name", ""))
