"""Decoders of planted vectors, which hold the colour of a square, its place, both, or nothing.

What could silently be wrong: a condition that is ignored or leaks, a network that cannot learn where it is told to
draw, ranks that say too much of a decoder that has learnt little.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "trends"))

from rcdm_toy import drawn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
STEPS = 4000


@pytest.mark.parametrize(
    ("what", "conditioning"), [("colour", "add_emb"), ("colour", "cond_bn"), ("place", "add_emb"), ("colour", "none")]
)
def test_what_is_in_the_vector_is_kept_and_what_is_not_varies(what: str, conditioning: str) -> None:
    """In the vector: less than a tenth of the variance. Not in it: more than 0.6. Ranks above 0.6, or below 0.05."""
    found = drawn(what, conditioning, STEPS, quiet=True)
    assert found.as_it_should_be(what, conditioning), found
