"""Weights from hubs: found in a cache, downloaded, or a clear error within seconds."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import cache
from typing import Any

from torchmultiverse.errors import ModelError

_PATIENCE = 5.0  # seconds to wait for a hub's first answer


@cache
def hub_reachable(endpoint: str) -> bool:
    """Whether a hub answers within seconds; asked once per process."""
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True  # it answered, if only to refuse a bare HEAD
    except (OSError, ValueError):
        return False


def offline_reason() -> str | None:
    """Return why nothing can be downloaded here, or ``None``."""
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return f"{variable} is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return None if hub_reachable(endpoint) else f"{endpoint} cannot be reached"


@contextlib.contextmanager
def weights_from_hub(what: str, instead: str) -> Iterator[None]:
    """Let a library load weights; without a network from its cache only, at once, without retries.

    Args:
        what: the weights, for the message.
        instead: what else a user may write.

    Raises:
        ModelError: the weights are neither in the cache nor to be downloaded.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    reason = offline_reason()
    hub: Any = constants
    before = hub.HF_HUB_OFFLINE, socket.getdefaulttimeout(), logging.root.manager.disable
    hub.HF_HUB_OFFLINE = bool(before[0] or reason)
    socket.setdefaulttimeout(before[1] or 30.0)  # weights outside the hub come by urllib, which else waits for ever
    if reason:
        logging.disable(logging.ERROR)  # libraries log what the error below says
    try:
        yield
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError | ValueError) and not _about_download(error):
            raise
        told = (str(error).splitlines() or [""])[0][:200]
        why = reason or f"{type(error).__name__}: {told}"
        raise ModelError(
            f"no weights for {what}: {why}, and they are not in the cache ({hub.HF_HUB_CACHE}). "
            f"Download them where there is a network and copy the cache, or {instead}"
        ) from error
    finally:
        hub.HF_HUB_OFFLINE = before[0]
        socket.setdefaulttimeout(before[1])
        logging.disable(before[2])


def _about_download(error: BaseException) -> bool:
    text = str(error).lower()
    return any(word in text for word in ("download", "cache", "connection", "offline", "hub", "urlopen"))
