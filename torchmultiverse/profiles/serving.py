"""Serving a launch profile: its instances, each with its own ports, until a signal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from torchmultiverse.errors import SpecError
from torchmultiverse.profiles.instances import ProfileProcess
from torchmultiverse.profiles.shelf import load_profile
from torchmultiverse.serve import Stack, check_bind, check_origins, run_stacks, to_stderr

_LAST_PORT = 65535


def serve_profile(
    name: str,
    *,
    host: str = "127.0.0.1",
    player_port: int = 0,
    streamer_port: int = 0,
    token: str | None = None,
    allow_origins: Sequence[str] = (),
    instances: int | None = None,
) -> None:
    """Run instances of a launch profile until SIGINT or SIGTERM; what happens to them goes to stderr.

    Args:
        name: of the profile.
        host: address to bind.
        player_port, streamer_port: of the first instance, the next one has the next; 0: free ones.
        token: that every peer has to show.
        allow_origins: origins whose pages may connect.
        instances: how many; by default all.

    Raises:
        SpecError: more instances than the profile has, or than there are ports.
        EngineError: no such profile, a bind beyond loopback without a token, or one that does not start or come back.
    """
    check_bind(host, token)
    check_origins(allow_origins)
    profile = load_profile(name)
    count = profile.instances if instances is None else instances
    if count > profile.instances:
        raise SpecError(f"instances = {count}: the launch profile '{name}' has {profile.instances} (gpus × per_gpu)")
    for what, port in (("player", player_port), ("streamer", streamer_port)):
        if port and port + count - 1 > _LAST_PORT:
            raise SpecError(
                f"{what} port {port}: {count} instances need {port} to {port + count - 1}; "
                f"at most {_LAST_PORT - count + 1}, or 0 for free ones"
            )
    stacks: dict[str, Stack] = {}
    with ExitStack() as claimed:
        for number in range(count):
            stack = ProfileProcess(
                name, profile, patience=0, host=host, player_port=player_port and player_port + number,
                streamer_port=streamer_port and streamer_port + number, token=token, allow_origins=allow_origins,
                notify=to_stderr,
            )  # fmt: skip
            claimed.callback(stack.stop)
            stacks[stack.label] = stack
        run_stacks(stacks, token)
