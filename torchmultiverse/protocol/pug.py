"""The dialect of the public TorchMultiverse release, which packaged PUG environments understand.

One ``UIInteraction`` per factor, in the order of the spec; the answer to the last is a JPEG ``FreezeFrame``. There
are no ids and no acknowledgement, so a picture belongs to a scene only because nothing else is in flight. What
the client does about it: one picture in flight, a drain before each request, the end of the whole connection when a
picture does not come in time, and proofs of the order at intervals (`torchmultiverse.engines.pairing`), without which
no picture is handed out. What is left is said in every dataset made this way.
"""

from __future__ import annotations

import json
from typing import Any

from torchmultiverse.scenes import FACTORS, Scene

DIALECT = "pug"
WEAKNESS = (
    "Rendered in the 'pug' dialect, which has no picture ids: pictures were paired with scenes by their order, one in "
    "flight. An engine that shows another scene than asked cannot be noticed. Pixels are JPEG pixels."
)
PROVEN = (
    "Pictures were held back in batches of fewer than 50 until two scenes that look unlike each other, asked in turns, "
    "were answered in turns, or until a long silence showed that no answer was on its way; what was not proven was "
    "rendered again. 'pairing' in the column 'annotations' names each picture's batch and proof. So an answer too many "
    "is noticed and costs no row; what is not noticed is one too many and one too few within the same batch."
)
UNPROVEN = (
    "That each request was answered once was not proven: after one answer too many every later row has a wrong picture."
)


def opening(width: int, height: int) -> list[str]:
    """Return the first messages of a session."""
    return [_message({"Resolution": 1, "X": width, "Y": height}), _message({"PoolSize": 1})]


def factors(scene: Scene, order: list[str] | None = None) -> list[str]:
    """Return one message per factor of the scene.

    Args:
        scene: the scene.
        order: wire names in the order of the spec; factors that it does not name follow in table order.
            Every factor that was ever sent on the connection must be named, so that none keeps an old value.
    """
    names = list(order or [])
    names += [name for name in scene.wire if name not in names]
    wire = scene.wire
    return [_message({name: wire[name] if name in wire else scene[name]}) for name in names]


def number(given: Any) -> Any:
    """Return the number that a string holds, or what was given: both are on the wire, ``0.7`` and ``"0.7"``."""
    if not isinstance(given, str):
        return given
    for kind in (int, float):
        try:
            return kind(given)
        except ValueError:
            continue
    return given


def value(name: str, given: Any) -> Any:
    """Return a factor's value as a scene takes it, whichever way it was written."""
    return number(given) if FACTORS[name].kind == "number" else given


def _message(value: dict[str, object]) -> str:
    return json.dumps(value)
