"""The built-in engine: worlds and animals made by code, rendered by Mitsuba 3."""

from torchmultiverse.engines.builtin.engine import BuiltinEngine

__all__ = ["BuiltinEngine"]
