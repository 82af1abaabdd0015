"""What other packages add by entry points: engines, families of models, protocols. One way to find and import them.

Nothing is imported before it is asked for by name, so that one that cannot be imported breaks no other.
"""

from __future__ import annotations

from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from torchmultiverse.errors import TorchMultiverseError


def plugins(group: str, taken: Container[str] = ()) -> dict[str, EntryPoint]:
    """Return what packages add to a group, by name.

    Args:
        group: such as ``torchmultiverse.engines``.
        taken: names that stay ours.
    """
    return {point.name: point for point in entry_points(group=group) if point.name not in taken}


def origin(point: EntryPoint, noun: str) -> str:
    """Return what an entry point is, and of which package, for messages."""
    return f"{noun} '{point.name}' ({point.value}, of {point.dist.name if point.dist else 'an unknown package'})"


def load_plugin(point: EntryPoint, noun: str, error: type[TorchMultiverseError]) -> Any:
    """Import what an entry point leads to.

    Args:
        point: one of `plugins`.
        noun: what it is, for the message.
        error: raised where it cannot be imported.
    """
    try:
        return point.load()
    except (Exception, SystemExit) as raised:  # somebody's code; an exit would end a command as if all were well
        raise error(f"{origin(point, noun)} cannot be imported: {type(raised).__name__}: {raised}") from raised
