"""The command line as a user meets it: what it prints, what it leaves behind, how it ends."""

import inspect
import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import run

from torchmultiverse import errors
from torchmultiverse.store import VOLATILE


def data_columns(out: Path) -> dict:
    """Everything that must not differ from run to run."""
    return pq.read_table(out / "data").drop_columns(list(VOLATILE)).to_pydict()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 45, 90]}))
    return path


def test_render_resume_verify(spec: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    out = tmp_path / "data"
    command = ("render", str(spec), "--out", str(out), "--engine", "marker", "--size", "64")
    code, text, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert "6 pictures, 6 rendered now" in " ".join(text.split())  # lines end where the terminal does
    before = data_columns(out)
    code, text, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert "6 pictures, 0 rendered now" in " ".join(text.split())
    assert before == data_columns(out)
    assert run(capsys, monkeypatch, "data", "verify", str(out))[0] == 0
    shard = out / "data" / "train-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-9])
    code, text, _ = run(capsys, monkeypatch, "data", "verify", str(out))
    assert code == 4
    assert "SHA-256" in text
    code, _, text = run(capsys, monkeypatch, *command)
    assert code == 4
    assert "--drop-bad" in text
    run(capsys, monkeypatch, "data", "verify", str(out), "--drop-bad")
    code, text, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert "6 pictures, 6 rendered now" in " ".join(text.split())  # lines end where the terminal does
    assert before == data_columns(out)


def test_dry_run_counts_and_checks_without_writing(spec: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    out = tmp_path / "data"
    code, text, _ = run(
        capsys, monkeypatch, "render", str(spec), "--out", str(out), "--engine", "marker", "--dry-run",
        "--where", "Camera_Yaw in (0, 90)",
    )  # fmt: skip
    assert code == 0
    assert "4 pictures" in text
    assert "Desert 2, Snow 2" in text
    assert not out.exists()
    spec.write_text(
        json.dumps(
            {
                "World_Name": [f"W{i}" for i in range(1000)],
                "Camera_Yaw": list(range(360)),
                "Camera_Pitch": list(range(90)),
                "Camera_Roll": list(range(100)),
            }
        )
    )
    command = ("render", str(spec), "--out", str(out), "--engine", "marker", "--dry-run")
    code, text, said = run(capsys, monkeypatch, *command)
    assert code == 2
    assert "3,240,000,000 pictures" in text
    assert "error: 1,000 unknown World_Name, engine 'marker': W0, W1, " in said
    assert "W29, … and 970 more" in said
    code, text, _ = run(capsys, monkeypatch, *command, "--format", "json")
    rows = json.loads(text)
    assert (code, rows[0]["factor"], rows[0]["images"]) == (2, "all", 3_240_000_000)
    assert sum(row["renderable"] is False for row in rows) == 1001
    assert sum(row["images"] for row in rows if row["factor"] == "Camera_Roll") == 3_240_000_000


def test_what_is_wrong_with_a_spec_is_said_at_once(spec: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """One fault at a time is found by as many runs."""
    command = ("render", spec, "--out", tmp_path / "x", "--engine", "marker", "--dry-run")
    spec.write_text(json.dumps({"Wrld_Name": ["Desert"], "Camra_Yaw": [1], "Camera_Roll": 3}))
    code, _, said = run(capsys, monkeypatch, *command)
    assert (code, [word in said for word in ("'World_Name'", "'Camera_Yaw'", "write [3]")]) == (2, [True] * 3)
    spec.write_text(
        json.dumps({"World_Name": ["Desert"], "Camera_Yaw": [400], "Camera_Pitch": ["x"], "Camera_Roll": []})
    )
    code, _, said = run(capsys, monkeypatch, *command)
    assert (code, len(said.splitlines())) == (2, 3), said
    spec.write_text(json.dumps({"World_Name": ["Deset", "Snow"], "Character_Name": ["Zebraa", "Lionn", "Zebra"]}))
    code, _, said = run(capsys, monkeypatch, *command)
    assert code == 2
    assert "World_Name = 'Deset' is unknown to engine 'marker'. Did you mean 'Desert'" in said
    assert "2 unknown Character_Name, engine 'marker': Zebraa, Lionn (nearest: Zebraa → Zebra)" in said


def test_what_cannot_be_read_hides_no_unknown_name(spec: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """A key, a value and a pack that cannot be, and names that the engine lacks: each was told when the one before it
    was right.
    """
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path / "data"))
    factors = {"World_Name": ["TokyoNigt", "Dessert"], "Character_Scale": [9], "Scene_Light": ["bleu"]}
    whole = {"name": "x", "design": {"kind": "factorial", "factors": factors}, "render": {"size": [4, 64]}, "colour": 3}
    spec.write_text(json.dumps(whole))
    command = ("render", spec, "--out", tmp_path / "x", "--dry-run")
    code, _, said = run(capsys, monkeypatch, *command)
    places = ("colour: ", "render.size: 4", "Character_Scale = 9", "2 unknown World_Name", "Did you mean 'blue'")
    assert code == 2
    assert [sum(place in line for line in said.splitlines()) for place in places] == [1] * 5, said
    assert len(said.splitlines()) == 5
    del whole["colour"], whole["render"], factors["Character_Scale"]
    spec.write_text(json.dumps({**whole, "assets": ["mine"]}))
    code, _, said = run(capsys, monkeypatch, *command)
    assert (code, len(said.splitlines())) == (7, 3), said
    assert "no pack of assets 'mine' is installed. Known: procedural. " in said
    assert "'0ad' is made by: torchmultiverse assets build 0ad" in said
    assert "TokyoNigt → TokyoNight" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("render", "missing.json", "--out", "x", "--engine", "marker"), 2, "no spec at missing.json"),
        (("render", "{spec}", "--out", "{tmp}/x", "--engine", "markr"), 3, "Did you mean 'marker'"),
        (("render", "{spec}", "--out", "{tmp}/x", "--engine", "ws://127.0.0.1:9"), 3, "no engine at ws://127.0.0.1:9"),
        (("render", "{spec}", "--out", "{tmp}", "--engine", "marker"), 4, "not empty and holds no dataset"),
        (
            ("render", "{spec}", "--out", "{tmp}/x", "--engine", "marker", "--where", "Wrld_Name = A"),
            2,
            "Did you mean 'World_Name'",
        ),
        (("render", "{spec}", "--out", "{tmp}/x", "--engine", "marker", "--where", "Camera_Yaw = 7"), 2, "no scene"),
        (("show", "Deset", "--engine", "marker"), 2, "Did you mean 'Desert'"),
        (("show", "Desert", "--engine", "marker", "--set", "Camera_Yaw=x"), 2, "is a number"),
        (("show", "Desert", "--engine", "marker", "--out", "{tmp}/p.tiff"), 2, "should end in .jpg"),
        (("show", "Desert", "--engine", "marker", "--out", "{tmp}"), 2, "should end in .jpg"),
        (("show", "Desert", "--engine", "marker", "--out", "{spec}/p.png"), 4, "p.png: "),
        (("data", "verify", "{tmp}/nothing"), 4, "no manifest.json"),
        (("serve", "--host", "0.0.0.0", "--engine", "marker"), 3, "needs a token"),
        (("serve", "--allow-origin", "*", "--engine", "marker"), 3, "https://example.org:8443"),
    ],
)
def test_errors_name_the_remedy_and_set_the_exit_code(
    arguments, code, message, spec: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    filled = [a.format(spec=spec, tmp=tmp_path) for a in arguments]
    got, _, text = run(capsys, monkeypatch, *filled)
    assert message in text.replace("\n", " ")
    assert got == code


def test_show_writes_a_picture(tmp_path: Path, capsys, monkeypatch) -> None:
    from PIL import Image

    picture = tmp_path / "new" / "p.png"  # a folder that was not there ended in a traceback, after the picture
    code, _, _ = run(
        capsys,
        monkeypatch,
        "show",
        "Desert",
        "Zebra",
        "--set",
        "Camera_Yaw=45",
        "--engine",
        "marker",
        "--size",
        "64",
        "--out",
        str(picture),
    )
    assert code == 0
    assert Image.open(picture).size == (64, 64)


def test_engine_check_and_schema(tmp_path: Path, capsys, monkeypatch) -> None:
    code, text, _ = run(capsys, monkeypatch, "engine", "check", "marker")
    assert code == 0
    assert "rendered" in text
    saved = tmp_path / "marker.json"
    assert run(capsys, monkeypatch, "engine", "check", "marker", "--save", saved)[0] == 0
    assert json.loads(saved.read_text())["engine"] == "marker"
    code, text, _ = run(capsys, monkeypatch, "specs", "schema")
    assert "design" in json.loads(text)["properties"]


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    import subprocess

    code = (
        "import sys; from torchmultiverse.cli import app; assert not {'torch', 'mitsuba', 'aiortc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_exit_codes_are_documented() -> None:
    """A script that tells codes apart would take one for another."""
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}
    classes = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, Exception)]
    assert listed == {0, 130, 141} | {one.exit_code for one in classes}
