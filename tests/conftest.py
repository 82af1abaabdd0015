"""What every test begins with, so that none depends on luck, on the machine's load or on who ran before it."""

from __future__ import annotations

import os
import sys

import hypothesis
import pytest

# What the shell, the scheduler or the proxy of a machine says is neither for the tests nor for what they start.
for name in (
    "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE",
    "GITHUB_ACTIONS", "RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHMULTIVERSE_WEBRTC", "TORCHMULTIVERSE_PIXELS",
    "TORCHMULTIVERSE_TOKEN",
):  # fmt: skip
    os.environ.pop(name, None)
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost", "::1"]))

# As Hypothesis does by itself where it knows that it runs unattended: the same examples each time, whatever the load.
# `--hypothesis-profile=default` searches for others; what it finds becomes an @example or a test of its own.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch's global generator: which tests run before in a process depends on how files are spread over them.

    Before the fixtures, so that what a module makes once is the same whichever of its tests comes first; and at a seed
    of its own: random weights of models are those of seed 0, and here are others.
    """
    if torch := sys.modules.get("torch"):
        torch.manual_seed(271828)
