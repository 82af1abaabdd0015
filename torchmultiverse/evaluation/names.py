"""Columns as people say them."""

from __future__ import annotations


def plain(factor: str) -> str:
    """Return a column's name as people say it."""
    return factor.replace("_name", "").replace("_", " ")
