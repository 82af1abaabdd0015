"""The specs that come with the package, by name and from any folder.

Silently wrong would be documentation that works in the checkout alone: from an installed wheel no spec could be named.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import load_spec, parse_spec, shipped_specs, spec_path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_a_name_stands_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("spar", "spar.json", "scenes/spar.json", Path("spar")):
        assert load_spec(name).name == "spar"
    assert {"spar", "animals", "imagenet", "ar4t_relations", "example_pug_config"} <= shipped_specs().keys()
    assert not {"paints", "textures"} & shipped_specs().keys()
    with pytest.raises(SpecError, match=r"no spec at spr\. Did you mean 'spar'"):
        load_spec("spr")
    for other in ("elsewhere/spar.json", "/spar", "spar.txt", "../spar", "scenes/worlds/Desert"):
        assert spec_path(other) == Path(other)


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spar").mkdir()
    assert load_spec("spar").name == "spar", "a folder of that name is no spec"
    Path("spar.json").write_text('{"World_Name": ["Desert"]}')
    assert load_spec("spar.json").build().count == 1


@pytest.mark.parametrize(
    ("file", "name"), [("my spec (1).json", "my_spec_1"), ("砂漠.json", "spec"), ("it's.v2.json", "it_s.v2")]
)
def test_a_file_as_people_write_it(file: str, name: str, tmp_path: Path) -> None:
    """A space in the name, or the byte order mark of an editor on Windows, made a spec unreadable."""
    (tmp_path / file).write_text('{"World_Name": ["Desert"], "Character_Name": ["Zebra"]}', encoding="utf-8-sig")
    spec = load_spec(tmp_path / file)
    assert (spec.name, len(spec.build())) == (name, 1)


def test_the_commands_of_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["specs", "show", "example_pug_config"], catch_exceptions=False)
    Path("mine.json").write_text(shown.stdout)
    assert load_spec("mine.json").build().count == load_spec("example_pug_config").build().count
    with pytest.raises(SpecError, match=r"no spec 'mine\.json' comes with the package"):
        CliRunner().invoke(app, ["specs", "show", "mine.json"], catch_exceptions=False)


@pytest.mark.slow
def test_the_list_of_specs() -> None:
    listed = CliRunner().invoke(app, ["specs", "list"], catch_exceptions=False).output
    assert re.search(r"spar +43,560 +SPAR", listed)
    assert re.search(r"animals +215,040 +Animals", listed)


def test_the_readme_names_specs_that_every_installation_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(text) for text in re.findall(r"`(torchmultiverse (?:render|eval power) [^`…]+)`", README)]
    named = {words[3 if words[1] == "eval" else 2] for words in commands}
    assert named >= {"spar", "animals"}
    for name in named:
        assert load_spec(name).build().count > 1000
    (command,) = (words for words in commands if "--dry-run" in words)
    done = CliRunner().invoke(app, command[1:], catch_exceptions=False)
    assert "spar: 43,560 pictures" in done.output


def test_names_are_suggested_where_they_belong() -> None:
    """Of a design's unknown key the nearest name of the whole spec was suggested, which would be refused there."""
    with pytest.raises(SpecError) as error:
        parse_spec({"name": "a", "design": {"kind": "random", "count": 9, "factors": {"Camera_Yaw": [0, 1]}}})
    assert "design.random.pictures: Field required" in str(error.value)
    assert "Did you mean" not in str(error.value)
    with pytest.raises(SpecError, match="Did you mean 'description'"):
        parse_spec({"name": "a", "descripton": "", "design": {"kind": "factorial", "factors": {"Camera_Yaw": [0]}}})
