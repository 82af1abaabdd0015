"""The C++ bridge core says what the Python side says, byte for byte.

What could silently be wrong: a bridge in Unreal that reads a number, a default or a text a little otherwise than the
client. Its scene ids then differ from the client's, so that every picture is refused and asked for again for ever; or,
worse, two different scenes get one id, and pictures are stored under labels that they do not show.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import runpy
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unreal import native_core as core
from unreal.native_build import CORE, VECTORS, built

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import ProtocolError, SpecError
from torchmultiverse.json_text import read_json
from torchmultiverse.protocol import bridge, messages
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.scenes import FACTORS, Factor, Scene, canonical_json, scene_seed
from torchmultiverse.serve.answers import read_request

pytestmark = pytest.mark.timeout(600)


def vectors(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_text()))


def cases(name: str) -> list[dict[str, Any]]:
    return list(vectors(name)["cases"])


def outcome(function: Any, *arguments: Any) -> tuple[str, Any]:
    try:
        return "", function(*arguments)
    except (core.CoreError, SpecError) as error:
        return str(error), None


def test_the_generated_files_are_current() -> None:
    assert runpy.run_path(str(CORE / "generate.py"))["outdated"]() == [], "run unreal_bridge/core/generate.py"
    assert runpy.run_path(str(VECTORS / "generate.py"))["outdated"]() == [], "run unreal_bridge/vectors/generate.py"


def test_json_is_read_and_written_as_python_does() -> None:
    for case in cases("json"):
        error, found = outcome(core.canonical_json, case["text"])
        expected = {None: None, "nan": None}.get(case["canonical"], case["canonical"])
        assert found == expected, (case["text"][:200], error)
        assert (case["canonical"] == "nan") == (error == "a number that is not finite"), case["text"][:200]


def test_scenes_have_the_same_canonical_form_and_id() -> None:
    for case in cases("scenes"):
        error, found = outcome(core.scene_canonical, case["levels"])
        assert (error, found) == (case.get("error", ""), case.get("canonical")), case["levels"]
        assert outcome(core.scene_id, case["levels"])[1] == case.get("id")


def test_requests_get_the_same_answers() -> None:
    held = vectors("requests")
    for case in held["cases"]:
        bridge = core.NativeBridge({"catalogue": held["catalogue"]})
        bridge.receive("player", case["text"])
        commands = list(bridge.commands())
        said = [command for command in commands if command["command"] in ("respond", "note")]
        expected = [(kind, case[name]) for kind, name in (("respond", "answer"), ("note", "note")) if name in case]
        assert [(command["command"], command["text"]) for command in said] == expected, case["text"][:300]
        files = [command["extension"] for command in commands if command["command"] == "send_file"]
        assert files == [case["file"] for _ in range(1) if "file" in case]


def test_the_data_channel_has_the_same_bytes() -> None:
    for case in cases("channel"):
        if "file" in case:
            file = case["file"]
            sent = core.encode_file(file["extension"], file["mime"], bytes(n * 7 % 251 for n in range(file["size"])))
            assert [len(one) for one in sent] == case["sizes"]
            assert hashlib.sha256(b"".join(sent)).hexdigest() == case["sha256"]
        elif "response" in case:
            assert b"".join(core.encode_response(case["response"])).hex() == case["hex"]
        else:
            error, found = outcome(core.decode_input, bytes.fromhex(case["input"]))
            assert error == case.get("error", ""), case
            assert found is None or found == {key: case[key] for key in ("name", "text", "payload")}


def test_seeds_of_pictures() -> None:
    for case in cases("scenes")[:20]:
        for seed, expected in case.get("seeds", {}).items():
            assert scene_seed(int(seed), case["id"]) == expected


def test_the_cores_own_tests_and_fuzz_targets_under_the_sanitizers(tmp_path: Path) -> None:
    """Short runs of the targets; the long ones are made by hand, see the README of the core."""
    folder = built("sanitize")
    generate = [sys.executable, str(VECTORS / "generate.py"), "--corpus", str(tmp_path)]
    for command in (
        [str(folder / "tmv_tests"), str(VECTORS)],
        generate,
        [str(folder / "tmv_run_parse"), "10000", str(tmp_path)],
        [str(folder / "tmv_run_receive"), "500", str(tmp_path)],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(CORE.parents[1])}
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


# The same for inputs that nobody thought of ---------------------------------------------------------------------------

MORE = int(os.environ.get("TMV_MORE_EXAMPLES", "1"))
# Later versions of Unicode than the tables of the core's know more letters; those of 3.2 are the same in all.
_OLD = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.ucd_3_2_0.category(chr(code)) != "Cn"]
LETTERS = st.one_of(st.sampled_from("aAzZ09_-'\"\\ \n\t,.é€😀ßſİ\x7f\xa0\u3000\ud800\udc00Ａ１"), st.sampled_from(_OLD))
TEXTS = st.text(LETTERS, max_size=12)
NUMBERS = st.one_of(
    st.integers(),
    st.integers(-400, 400),
    st.floats(),
    st.floats(-400, 400),
    st.floats(-400, 400).map(str),
    st.sampled_from([1e16, 1e22, 1e300, 10**300, 2**53 + 1, -0.0, -1e-20, 359.99999999999994, "0.70", "-0", "1e-320"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NAMES = st.one_of(
    st.sampled_from([name for factor in FACTORS for name in (factor.wire, factor.column)]),
    st.sampled_from(["Camera_Yav", "Charcter_Name", "Fog", "world name", "SCENE_LIGHT"]),
    TEXTS,
)
VECTOR = st.lists(NUMBERS.map(str) | TEXTS, min_size=2, max_size=4).map(",".join)
LEVELS = st.one_of(st.sampled_from(["Desert", "Zebra", "red", "255,0,0,0", "center", "blank"]), NUMBERS, VECTOR, VALUES)


def _plausible(factor: Factor) -> st.SearchStrategy[Any]:
    if factor.kind == "category":
        return st.sampled_from(["Zebra", "red", str(factor.default)]) | TEXTS.filter(str.strip)
    if factor.kind == "list":
        fields = {field.wire: _plausible(field) for field in factor.fields}
        return st.lists(st.fixed_dictionaries({"Name": fields.pop("Name")}, optional=fields), max_size=4)
    low, high = max(factor.low, -1e9), min(factor.high, 1e9)
    number = st.floats(low, high) | st.integers(math.ceil(low), math.floor(high))
    return (
        number | st.just(factor.default)
        if factor.kind == "number"
        else st.tuples(number, number, number).map(lambda v: ",".join(map(str, v)))
    )


SCENES = st.fixed_dictionaries(
    {"World_Name": st.sampled_from(["Desert", "SaltFlats_0"])},
    optional={factor.wire: _plausible(factor) for factor in FACTORS if factor.wire != "World_Name"},
)


def _agree(levels: dict[str, Any]) -> None:
    text = json.dumps(levels)
    expected = outcome(lambda: Scene(levels).canonical)
    assert outcome(core.scene_canonical, text) == expected
    if expected[1] is not None:
        assert core.scene_id(text) == Scene(levels).scene_id
        assert Scene.from_json(expected[1]).canonical == expected[1], "the canonical form is its own"


@settings(max_examples=100 * MORE, deadline=None)
@given(SCENES)
def test_random_scenes_have_the_same_id(levels: dict[str, Any]) -> None:
    _agree(levels)


FIELDS = st.sampled_from([field.wire for field in FACTORS["Objects"].fields] + ["Nam", "name", ""]) | TEXTS
OBJECTS = st.lists(
    st.dictionaries(FIELDS, LEVELS, max_size=3).map(lambda o: {"Name": "Zebra", **o}) | VALUES, max_size=3
)


@settings(max_examples=150 * MORE, deadline=None)
@given(OBJECTS, st.booleans())
def test_random_objects_are_taken_or_refused_alike(objects: list[Any], text: bool) -> None:
    _agree({"World_Name": "Desert", "Objects": json.dumps(objects) if text else objects})


@settings(max_examples=150 * MORE, deadline=None)
@given(st.dictionaries(NAMES, LEVELS, max_size=4), st.booleans())
def test_random_levels_are_taken_or_refused_alike(levels: dict[str, Any], world: bool) -> None:
    _agree({**levels, **({"World_Name": "Desert"} if world else {})})


DECLARED = [
    {"name": "Fog", "kind": "number", "default": 0.0, "low": 0, "high": 2},
    {"name": "Hour", "column": "hour_of_day", "kind": "number", "default": 12, "period": 24},
    {"name": "Weather", "default": "none"},
    {"name": "Wind", "kind": "vector", "default": "0,0,0", "low": -10, "high": 10, "unit": "m/s"},
]
MORE_FACTORS = FACTORS.extended(
    Factor(
        one["name"], one.get("column", one["name"].lower()), one.get("kind", "category"), one["default"],
        one.get("unit", ""), one.get("low", -math.inf), one.get("high", math.inf), one.get("period"),
    )
    for one in DECLARED
)  # fmt: skip


@settings(max_examples=100 * MORE, deadline=None)
@given(st.dictionaries(st.sampled_from(["Fog", "fog", "Hour", "hour_of_day", "Weather", "Wind"]), LEVELS, max_size=3))
def test_declared_factors_are_read_alike(levels: dict[str, Any]) -> None:
    held = {"World_Name": "Desert", **levels}
    expected = outcome(lambda: Scene(held, MORE_FACTORS).canonical)
    assert outcome(core.scene_canonical, json.dumps(held), json.dumps(DECLARED)) == expected


def _python_canonical(text: str) -> str | None:
    try:
        value = read_json(text)
        return None if messages.too_deep(value) else canonical_json(value)
    except ValueError:
        return None


BROKEN = st.tuples(
    VALUES.map(json.dumps), st.integers(0, 200), st.sampled_from(["", "\\", '"', ",", "0", "e", "\x00", "}"])
).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :])


@settings(max_examples=150 * MORE, deadline=None)
@given(VALUES.map(json.dumps) | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)) | BROKEN | TEXTS)
def test_random_texts_are_json_to_both_or_to_neither(text: str) -> None:
    assert outcome(core.canonical_json, text)[1] == _python_canonical(text)


@settings(max_examples=100 * MORE, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_written_as_python_writes_them(number: float) -> None:
    for text in (repr(number), f"{number:.17e}", f"{number:.30e}"):
        assert core.canonical_json(text) == repr(float(text))


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tmv": st.just(1) | VALUES,
        "id": st.just("r1") | VALUES,
        "do": st.sampled_from(["render", "hello", "catalogue", "rendr"]) | VALUES,
        "scene": SCENES | st.dictionaries(NAMES, LEVELS, max_size=3) | VALUES,
        "size": st.lists(st.integers(0, 5000) | VALUES, max_size=4) | VALUES,
        "passes": st.lists(st.sampled_from(["rgb", "mask", "class", "dept"]) | VALUES, max_size=3) | VALUES,
        "format": st.sampled_from(["png", "jpeg", "PNG"]) | VALUES,
        "raw": st.booleans() | VALUES,
        "quiet": st.booleans() | VALUES,
        "seed": st.integers() | VALUES,
        "samples": st.integers(-1, 70000) | VALUES,
    },
)
REQUESTS = st.builds(
    lambda fields, base: {**base, **fields}, FIELDS, st.sampled_from([{}, {"tmv": 1, "id": "a", "do": "render"}])
)


KNOWN = {"do", "id", "scene", "size", "passes", "format", "raw", "quiet", "seed", "samples"}


def _python_answer(text: str) -> dict[str, Any]:
    """What a streamer makes of a text, before an engine sees it."""
    try:
        message = messages.parse(text)
        if message is None:
            return {"parsed": "other"}
    except ProtocolError as error:
        return {"parsed": "wrong", "error": str(error)}
    try:
        request = messages.read_request(message)
        if isinstance(request, messages.RenderRequest):
            read_request(request.model_copy(update={"scene": {"World_Name": "Desert"}}))
    except (ProtocolError, SpecError) as error:
        return {"parsed": "message", "error": str(error)}
    # Fields that newer clients send and the core does not know are those that it may ignore.
    return {"parsed": "message", "request": {k: v for k, v in request.model_dump().items() if k in KNOWN}}


@settings(max_examples=200 * MORE, deadline=None)
@given(REQUESTS)
def test_random_requests_are_read_or_refused_alike(fields: dict[str, Any]) -> None:
    text = json.dumps(fields)
    expected, found = _python_answer(text), core.read_request(text)
    try:
        canonical_json(expected)
    except ValueError:  # a scene with NaN, which is refused next
        expected["request"] = None
    assert found == expected


WORDS = st.sampled_from(
    ["Desert", "desert", "Dessert", "Salt", "salt flats", "SaltFlats_0", "now", "Mus", "camel_1", "red", "255,0,0"]
)


@settings(max_examples=100 * MORE, deadline=None)
@given(st.dictionaries(st.sampled_from([f.wire for f in FACTORS]), WORDS | TEXTS.filter(str.strip), max_size=4))
def test_the_nearest_name_is_the_same(levels: dict[str, str]) -> None:
    catalogue = MarkerEngine().catalogue()
    try:
        scene = Scene({"World_Name": "Desert", **levels})
        catalogue.check(scene)
        expected = messages.Accepted(id="a").encode()
    except SpecError as error:
        expected = messages.Failed(id="a", reason=str(error)).encode()
    native = core.NativeBridge({"catalogue": catalogue.model_dump(mode="json")})
    native.receive("p", json.dumps({"tmv": 1, "do": "render", "id": "a", "scene": {"World_Name": "Desert", **levels}}))
    assert next(native.commands())["text"] == expected


@settings(max_examples=100 * MORE, deadline=None)
@given(
    st.binary(max_size=40)
    | st.binary(max_size=20).map(lambda data: b"2" + (len(data) // 2).to_bytes(2, "little") + data)
)
def test_random_inputs_of_the_data_channel(data: bytes) -> None:
    try:
        found = dc.decode_input(data)
        expected: Any = ("", {"name": found.name, "text": found.text, "payload": found.payload.hex()})
    except ProtocolError as error:
        expected = (str(error), None)
    assert outcome(core.decode_input, data) == expected


# A client of the Python side at the other end -------------------------------------------------------------------------


KINDS = {"accepted": messages.Accepted, "settled": messages.Settled, "done": messages.RenderDone}


def test_a_client_believes_the_core() -> None:
    """The whole way: a request, a scene applied, frames until it settles, two passes, and the proof at the end."""
    scene = Scene(
        {"World_Name": "Desert", "Character_Name": "Zebra", "Camera_Yaw": 45.5, "Character_Location": "1.5,-2,0"}
    )
    native = core.NativeBridge(
        {"catalogue": MarkerEngine().catalogue().model_dump(mode="json"), "settle": {"quiet_frames": 4}}
    )
    session = bridge.BridgeSession()
    session.expect("r1", scene, ("rgb", "mask"))
    request = messages.RenderRequest(
        id="r1", scene=scene.wire, size=[64, 32], passes=["rgb", "mask"], format="jpeg", seed=7
    )
    native.receive("p", request.encode())
    outcomes: list[bridge.Outcome] = []
    receiver = dc.Receiver()
    now = 0.0
    waiting = True
    while waiting:
        for command in native.commands():
            if command["command"] == "apply":
                assert (command["size"], command["resize"]) == ([64, 32], True)
                assert {change["factor"]: change["value"] for change in command["changes"]} == command["levels"]
                native.applied(command["request"], command["levels"])
            elif command["command"] == "capture":
                assert command["picture_seed"] == scene_seed(7, scene.scene_id)
                native.captured(command["request"], "mask", b"mask" * 9000)
                native.captured(command["request"], "rgb", b"rgb" * 9000, "jpeg")
                native.captured_all(
                    command["request"], json.dumps({"timings": {"render_ms": 1}, "info": {"objects": []}})
                )
            else:
                if command["command"] == "respond":
                    sent = core.encode_response(command["text"])
                    said = json.loads(command["text"])
                    kind = KINDS[said["state"]]
                    assert messages.read(kind, said).encode() == command["text"]
                else:
                    sent = core.encode_file(command["extension"], command["mime"], command["data"])
                for message in sent:
                    assert len(message) <= dc.CHUNK
                    for event in receiver.feed(message):
                        outcomes += session.feed(event)
        waiting = not any(isinstance(one, bridge.Delivery) for one in outcomes)
        now += 16
        native.frame(now, textures=int(now < 100))
    assert [type(one) for one in outcomes] == [bridge.Progress, bridge.Progress, bridge.Delivery]
    delivery = outcomes[-1]
    assert isinstance(delivery, bridge.Delivery)
    assert delivery.passes == {"rgb": b"rgb" * 9000, "mask": b"mask" * 9000}
    assert delivery.done.settle["waited"]["textures"] > 0
