"""JSON of somebody else is read without deep recursion.

What could silently be wrong: a text of brackets within brackets that drives Python's reader to the end of the call
stack. Whatever is finalized there (a socket, a temporary file) is cut off half done, and nobody is told.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.json_text import MOST_DEPTH, read_json
from torchmultiverse.store import thrift

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_values_are_read_as_the_library_does(value: object) -> None:
    assert read_json(json.dumps(value)) == value
    assert read_json(json.dumps([value, "[" * 300]).encode()) == [value, "[" * 300]


@pytest.mark.parametrize("opened", ["[", '{"a":', '[{"a":', '"\\"",[', '["[]]]]",', '["\\\\",'])
def test_deep_texts_are_refused(opened: str) -> None:
    with pytest.raises(ValueError, match=f"more than {MOST_DEPTH} brackets"):
        read_json(opened * 100_000)


def test_the_deepest_that_is_read() -> None:
    text = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert json.dumps(read_json(f"{text}")) == text
    with pytest.raises(ValueError, match="brackets"):
        read_json(f"[{text}]")
    assert len(read_json("[" + "[]," * 10_000 + "[]]")) == 10_001


def test_quotes_that_are_never_closed_take_no_longer_than_others() -> None:
    with pytest.raises(ValueError, match=r"Unterminated|brackets"):
        read_json("[" * 150 + '"' + '\\"[' * 200_000)


def test_structs_within_structs_are_refused() -> None:
    with pytest.raises(ValueError, match="within each other"):
        thrift.struct(b"\x1c" * 100_000, 0)
    with pytest.raises(ValueError, match="within each other"):
        thrift.struct(b"\x19" * 100_000, 0)
