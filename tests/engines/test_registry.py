"""Engines by name. What could silently be wrong: a plug-in that takes the place of an engine of the package, or one
that cannot be imported and takes all others along.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from torchmultiverse.connect import open_engine
from torchmultiverse.engines import Engine
from torchmultiverse.engines.registry import BUILT_IN, engine_names, find_engine
from torchmultiverse.errors import EngineError

PLUGIN = """
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.registry import EngineEntry

class Cards(MarkerEngine):
    pass

entry = EngineEntry(factory=Cards, summary="cards of others")
nothing = 5
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of others, as installed."""
    (tmp_path / "others_engines.py").write_text(PLUGIN)
    info = tmp_path / "others-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[torchmultiverse.engines]\ncards = others_engines:Cards\ndescribed = others_engines:entry\n"
        "broken = others_engines_that_are_not_there:Engine\nnothing = others_engines:nothing\n"
        "marker = others_engines:Cards\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugins")
def test_engines_of_others_are_found_by_name() -> None:
    assert engine_names() == ["builtin", "inprocess", "marker", "broken", "cards", "described", "nothing"]
    for name in ("cards", "described"):
        engine = open_engine(name)
        assert isinstance(engine, Engine)
        assert type(engine).__name__ == "Cards"
        engine.close()
    assert find_engine("described").summary == "cards of others"
    assert "others" in find_engine("cards").summary
    assert find_engine("marker") is BUILT_IN["marker"], "a name of ours stays ours"


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("card", r"no engine 'card'\. Did you mean 'cards'\?"),
        (
            "broken",
            r"engine 'broken' \(others_engines_that_are_not_there:Engine, of others\) cannot be imported: M",
        ),
        ("nothing", r"engine 'nothing' .* is a int; a function or class"),
    ],
)
def test_a_name_that_is_wrong_is_said_and_breaks_no_other(name: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        find_engine(name)
    with pytest.raises(EngineError, match=message):
        open_engine(name)
    assert find_engine("cards").make().catalogue().engine == "marker"


def test_a_file_that_happens_to_have_the_name_of_an_engine_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marker").touch()
    monkeypatch.chdir(tmp_path)
    assert open_engine("marker", hosted=False).catalogue().engine == "marker"
    with pytest.raises(EngineError, match="not executable"):
        open_engine("./marker")


def test_an_engine_that_is_usually_hosted_can_be_had_here() -> None:
    assert type(open_engine("marker", hosted=False)).__name__ == "MarkerEngine"
    assert BUILT_IN["marker"].hosted
