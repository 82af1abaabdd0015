"""Who may connect: loopback by default, anything else only with a token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from torchmultiverse.errors import EngineError


def is_loopback(host: str) -> bool:
    """Whether an address or name stands for this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, token: str | None) -> None:
    """Refuse to listen to other machines without a token.

    Raises:
        EngineError: says how to set one.
    """
    if not is_loopback(host) and not token:
        raise EngineError(
            f"binding to {host} lets other machines in and needs a token: --token … or TORCHMULTIVERSE_TOKEN=…"
        )


def authorised(token: str | None, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Whether a request carries the token, as ``?token=`` or as a bearer."""
    if token is None:
        return True
    given = query.get("token") or headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())
