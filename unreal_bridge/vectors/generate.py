"""Writes the message vectors: what goes in and what must come out, byte for byte, on both sides of the bridge.

    python unreal_bridge/vectors/generate.py          # writes the JSON files beside this one
    python unreal_bridge/vectors/generate.py --check  # exit code 1 where they are not current
    python unreal_bridge/vectors/generate.py --corpus build/corpus  # what goes in as files, for the fuzz targets

What must come out is what the Python side makes of it. The tests of the C++ core read the same files. Texts that are no
JSON, or that JSON cannot say twice alike, are held as strings.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torchmultiverse.engines import Catalogue, codec
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import ProtocolError, SpecError
from torchmultiverse.json_text import read_json
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import messages
from torchmultiverse.scenes import FACTORS, Scene, canonical_json, scene_seed
from torchmultiverse.serve.answers import read_request

FOLDER = Path(__file__).parent
DEEP = messages.MOST_DEPTH


def jsons() -> Iterator[dict[str, Any]]:
    """Texts, and their canonical JSON; ``null``: refused; ``"nan"``: read, but it has no canonical JSON."""
    rng = random.Random(16)
    texts = [
        "{}", "[]", "null", "true", "false", '""', "0", "-0", "-0.0", "0.0", "1.0", "1", "1e2", "1E+2", "1e-2",
        "12345678901234567890",
        "123456789012345678901234567890", "-12345678901234567890", "0.1", "1e22", "1e16", "9007199254740993",
        "9007199254740993.0",
        "1e15", "123456789012345680.0", "0.0001", "0.00001", "5e-324", "4.9e-324", "2.5e-324", "2.4e-324",
        "1.7976931348623157e308",
        "1.7976931348623159e308", "1e400", "-1e400", "1e-400", "2.2250738585072011e-308", "NaN", "Infinity",
        "-Infinity", "[NaN]",
        "nan", "-NaN", "Inf", "+1", "01", "-", "-a", "1.", ".5", "1.e2", "1e", "1e+", "--1", "0x1", "1_0", "1 2", "",
        " ", "\ufeff{}",
        " \t\r\n1 \t\r\n", "\x0b1", "\xa01", "1\0", "[1,]", "[,1]", "[1 2]", "[", "]", "[1", '{"a"}', '{"a":}',
        '{"a":1,}', "{a:1}",
        "{'a':1}", '{"a":1 "b":2}', '{"a":1', '{1:2}', "{,}", '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}',
        '{"":1}',
        '{"\\u0061":1,"a":2}', '{"é":1,"z":2,"\U0001f600":3,"\uffff":4}', '{"a":{"c":1,"b":[1,{"z":0,"y":[]}]}}',
        "tru", "True", "nul", "nulll", "truefalse", '"a', '"\\', '"\\"', '"\\x"', '"\\u12"', '"\\u12g4"',
        '"\\U00001234"', '"a\nb"',
        '"a\tb"', '"a\x00b"', '"a\x1fb"', '"a\x7fb"', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041"', '"\\u00e9\\u20ac"',
        '"é€😀"', '"\\ud83d\\ude00"',
        '"\\ud83d"', '"\\ude00"', '"\\ud83d\\ud83d"', '"\\ud83d\\u0041"', '"\\ud83dx"', '"\\ud83d\\ud83d\\ude00"',
        '"\\ude00\\ud83d"',
        '"\\ud83d\\u12"', '"\\ud83d\\uzzzz"', '"\\uD83D\\uDE00"', '"\ud83d"', '"\\ud83d\ude00"', "\"/</script>'\"",
        '"\u2028\u2029"',
        "[" * DEEP + "]" * DEEP, "[" * (DEEP + 1) + "]" * (DEEP + 1), '{"a":' * DEEP + "1" + "}" * DEEP,
        "[" * DEEP + "{}" + "]" * DEEP, "[" * 100000, "9" * 4300, "9" * 4301, "-" + "9" * 4300, "0." + "1" * 5000,
        "1" * 400 + ".0",
        "1" + "0" * 400 + "e-400", "[" + "1," * 300 + "1]", "{" + ",".join(f'"{n % 40}":{n}' for n in range(100)) + "}",
    ]  # fmt: skip
    texts += [repr(struct.unpack("<d", rng.randbytes(8))[0]) for _ in range(200)]
    texts += [f"{2.0**n!r}" for n in range(-1074, 1024, 97)] + [
        f"{rng.randint(-10000, 10000) / 1000}" for _ in range(50)
    ]
    texts += [
        f"{rng.randint(1, 10**18)}{rng.randint(0, 10**9)}.{rng.randint(0, 10**12)}e{rng.randint(-340, 310)}"
        for _ in range(100)
    ]
    for text in texts:
        yield {"text": text, "canonical": _canonical(text)}


def _canonical(text: str) -> str | None:
    try:
        value = read_json(text)
    except ValueError:
        return None
    if messages.too_deep(value):
        return None
    try:
        return canonical_json(value)
    except ValueError:
        return "nan"


def scenes() -> Iterator[dict[str, Any]]:
    """Texts of levels, and the scene's canonical JSON, id and picture seed; or the error."""
    for text in _levels():
        try:
            scene = Scene(json.loads(text))
        except SpecError as error:
            yield {"levels": text, "error": str(error)}
        else:
            seeds = {str(seed): scene_seed(seed, scene.scene_id) for seed in (0, 7, -1, 10**30)}
            yield {"levels": text, "canonical": scene.canonical, "id": scene.scene_id, "seeds": seeds}


def _levels() -> list[str]:
    rng = random.Random(17)
    numbers = [
        0, 1, -1, 1.0, 0.7, "0.7", "1", "+1", "-0", ".5", "5.", "1e0", "1e5", "1e-3", "0x1", "", " 1", "1_0", "nan",
        True, False, None,
        [], {}, [1], "one", 4, 4.0, 4.0000001, 0.1, 0.09999999999999999, 10**30, -(10**30), 1e300, 10**300, 10**301,
        "1e999", "9" * 30,
        "9" * 31, -45, 360, -360, 359.999, 361, 45.5, 0.30000000000000004, 123.456789012345678, -1e-9, -1e-20,
        float("nan"), float("inf"),
    ]  # fmt: skip
    vectors = [
        "0,0,0", "0,-150,0", "-0,0.0,+0", "1,2", "1,2,3,4", "", ",,", "1,2,x", " 1 , 2 , 3 ", "1e2,1E2,.5", "1_0,2,3",
        "1_0_0,2,3_0e1_0", "100.00390625,100.01171875,0",
        "1__0,2,3", "_1,2,3",
        "inf,0,0", "nan,0,0", "1000,-1000,0", "1000.0001,0,0", "0.1234567890123,2.5,1e-7", "１,２,３", "\u20031,2,3",
        "\x1c1,2,3", 5, None,
        [0, 0, 0], "123.4567891234,0.30000000000000004,99999.5", "12345678901,0,0", "\u00b2,0,0", "1e-400,0,0",
        "1,2,3\x00",
    ]  # fmt: skip
    words = [
        "Zebra", "", " ", "\u3000", "x" * 200, "x" * 201, 5, None, ["a"], {"a": "b'"}, "é", "\U0001f600", "\ud800",
        "\ud83d\ude00", "'", '"',
        "'\"", "a\nb\t\\", "\x7f", "blank", "Default", "\xad", "\u200b",
    ]  # fmt: skip
    base = {"World_Name": "Desert"}
    found: list[dict[str, Any]] = [{}, base, {"world_name": "Desert"}, {"World_Name": "Desert", "world_name": "Snow"}]
    found += [
        {"Character_Name": "Zebra"},
        {**base, "Weather": "x"},
        {**base, "Camera_Yav": 1},
        {**base, "": 1},
        {**base, "q" * 300: 1},
    ]
    found += [
        {**base, "CAMERA_YAW": 1},
        {**base, "\u0130": 1},
        {**base, "ſcene_light": 1},
        {**base, "Character_Nam": 1},
    ]
    found += [{"World_Name": word} for word in words] + [
        {**base, "Scene_Light": word} for word in ("red", "white", "255,0,0,0", "pink")
    ]
    found += [{**base, name: one} for name in ("Character_Scale", "Camera_Yaw", "Sample") for one in numbers]
    found += [{**base, "Character_Location": one} for one in vectors]
    found += [{**base, "Fog_Visibility": one} for one in ("own", "Own", None, "30")] + [{**base, "Rain": "own"}]
    found += [{**base, "Camera_Yaw": 360, "Character_Scale": 1.0, "Character_Name": "blank", "Sample": 0}]
    found += [
        {**base, "Sample": 10**25},
        {**base, "Sample": 1e22},
        {**base, "Sample": 1e25},
        {**base, "Subset": "a", "Relation": "on"},
    ]
    found += [{**base, "Objects": one} for one in _object_lists()]
    found += [_random_scene(rng) for _ in range(300)]
    found += [{**base, "Objects": _random_objects(rng)} for _ in range(60)]
    return [json.dumps(one, ensure_ascii=n % 2 == 0) for n, one in enumerate(found)]


def _object_lists() -> list[Any]:
    zebra = {"Name": "Zebra", "Location": "0,150,0", "Rotation_Yaw": -45, "Scale": 1.0, "Label": "animal"}
    cat = {"Name": "Cat", "Texture": "Grass", "Scale": "0.70", "Rotation_Pitch": 360}
    wrong = [
        {}, {"Name": "blank"}, {"Nam": "Zebra"}, {"name": "Zebra"}, {"Name": 5}, {"Name": ""}, 5, None, "Zebra", [],
        {"Name": "Zebra", "Scale": 9}, {"Name": "Zebra", "Scale": "x"}, {"Name": "Zebra", "Location": "1,2"},
        {"Name": "Zebra", "Location": [0, 1, 2]}, {"Name": "Zebra", "Rotation_Yaw": 400}, {"Scale": 1},
    ]  # fmt: skip
    return [
        [], [zebra], [zebra, cat], [cat, zebra], [zebra, zebra], [zebra, {**zebra, "Label": "a"}, {"Name": "Zebra"}],
        [{"Name": "\u00e9"}, {"Name": "z"}, {"Name": "\U0001f600"}, {"Name": "\"'"}], [cat] * 14, [cat] * 15,
        json.dumps([zebra, cat]), "[]", " [ ] ", "[{}", "x", "", "{}", 5, None, True, {}, zebra,
        *([cat, one] for one in wrong),
    ]  # fmt: skip


def _random_objects(rng: random.Random) -> list[dict[str, Any]]:
    found = []
    for _ in range(rng.randint(0, 5)):
        one: dict[str, Any] = {"Name": rng.choice(["Zebra", "Cat", "Ä"])}
        if rng.random() < 0.7:
            one["Location"] = ",".join(str(round(rng.uniform(-200, 200), rng.randint(0, 3))) for _ in range(3))
        for name, low, high in (("Scale", 0.1, 4), ("Rotation_Yaw", -360, 360), ("Rotation_Roll", -360, 360)):
            if rng.random() < 0.4:
                one[name] = rng.choice([rng.uniform(low, high), float(round(high)), 1])
        if rng.random() < 0.3:
            one["Label"] = rng.choice(["none", "animal", "thing"])
        found.append(dict(rng.sample(sorted(one.items()), len(one))))
    return found


def _random_scene(rng: random.Random) -> dict[str, Any]:
    levels: dict[str, Any] = {"World_Name": rng.choice(["Desert", "SaltFlats_0", "Museum"])}
    for factor in rng.sample(FACTORS.factors, rng.randint(0, 12)):
        name = rng.choice([factor.wire, factor.column])
        if factor.kind == "category":
            levels[name] = rng.choice(["Zebra", "left", "255,0,0,0", "none", "Ä", "center", str(factor.default)])
        elif factor.kind == "list":
            levels[name] = _random_objects(rng)
        elif factor.kind == "vector":
            levels[name] = ",".join(str(round(rng.uniform(-200, 200), rng.randint(0, 12))) for _ in range(3))
        else:
            low, high = max(factor.low, -1e6), min(factor.high, 1e6)
            drawn = rng.uniform(low, high)
            value = rng.choice([drawn, float(round(drawn)), round(drawn, 1)])
            levels[name] = rng.choice([value, str(value), int(value) or 1, factor.default])
    levels.pop("world_name", None)
    return levels


def requests() -> Iterator[dict[str, Any]]:
    """Texts that a player sends, and what is answered by the engine of ``catalogue``; or the note for the log.

    ``answer`` is the first text, none where it may be left out, ``file`` the content of the file before it.
    """
    catalogue = MarkerEngine().catalogue()
    for text in _requests():
        yield {"text": text, **_answer(text, catalogue)}


def _answer(text: str, catalogue: Catalogue) -> dict[str, Any]:
    try:
        message = messages.parse(text)
    except ProtocolError as error:
        return {"note": str(error)}
    if message is None:
        return {"note": f"no message of the tmv dialect: {text[:80]!r}"}
    name = message["id"]
    try:
        request = messages.read_request(message)
        if isinstance(request, messages.Hello):
            fields = {"engine": catalogue.engine, "version": catalogue.version, "fingerprint": catalogue.fingerprint}
            return {"answer": messages.HelloDone(id=name, **fields).encode()}
        if isinstance(request, messages.CatalogueRequest):
            return {"answer": messages.Done(id=name).encode(), "file": f"{name}.catalogue.json"}
        scene, options = read_request(request)
        catalogue.check(scene)
        if lacking := [one for one in options.passes if one not in catalogue.passes]:
            has = ", ".join(catalogue.passes)
            raise SpecError(f"passes: engine '{catalogue.engine}' cannot render {', '.join(lacking)}; it renders {has}")
    except (ProtocolError, SpecError) as error:
        return {"answer": messages.Failed(id=name, reason=str(error)).encode()}
    return {} if request.quiet else {"answer": messages.Accepted(id=name).encode()}


def _requests() -> list[str]:
    base: dict[str, Any] = {"tmv": 1, "do": "render", "id": "r1", "scene": {"World_Name": "Desert"}}
    values: list[Any] = [
        None, True, False, 0, 1, 2, -1, 1.0, 1.5, 10**30, "", "1", "png", "jpeg", "PNG", "rgb", [], {}, [1], [512,
        512], [512, 512, 3],
        [512.0, 512], ["512", True, 3], [16, 4096], [15, 512], [512, 4097], [10**30, -5], ["rgb"], ["rgb", "mask",
        "depth", "normals"],
        ["rgb", "rgb"], ["mask"], ["mask", "depth"], ["rgb", "class"], ["rgb", 5], ["rgb", "dpeth"], ["\ud800"],
        {"a": [1, "b", None]},
        65536, 65537, "x" * 500, ["y" * 300, 1], [[[]]], {"é'": "\n"}, float("nan"), float("inf"), -0.0, 1e100,
        "\U0001f600\x00'\"",
    ]  # fmt: skip
    found: list[Any] = [
        {**base, name: value}
        for name in ("size", "passes", "format", "raw", "quiet", "seed", "samples", "scene", "do", "id", "tmv")
        for value in values
    ]
    found += [{key: value for key, value in base.items() if key != name} for name in base]
    found += [
        {"tmv": 1, "do": do, "id": "q-_9"}
        for do in ("hello", "catalogue", "render", "helo", "Hello", "catalog", "rendering", "x")
    ]
    found += [
        {"tmv": 1, "do": "hello", "id": one}
        for one in ("a" * 64, "a" * 65, "a b", "a\n", "", "é", "r.1", "../x", "A-_z09")
    ]
    found += [5, "text", [], [base], {}, {"Tmv": 1}, {"World_Name": "Desert"}, {"Resolution": 1, "X": 512, "Y": 512}]
    found += [
        {**base, "what": 1, "more": {"a": []}},
        {**base, "size": [15, "x"], "passes": 5, "seed": "x"},
        {**base, "passes": 5, "seed": "x"},
    ]
    scenes: list[dict[str, Any]] = [
        {"World_Name": "Desrt"}, {"World_Name": "Xylophone"}, {"World_Name": "desert"}, {"World_Name": "Desert_0"},
        {"World_Name": "snow"},
        {"World_Name": "flats"}, {"World_Name": "sal"}, {"World_Name": "lats"},
        {"Charcter2_Rotatin_Yaw": 1}, {"Character2_Rotaton_Pitch": 5}, {"Rotation_Character_Yaw": 5},
        {"World_Name": "salt flats"}, {"World_Name": "Ünknown"}, {"World_Name": "\ud800"},
        {"World_Name": "ＤＥＳＥＲＴ"},
        {"World_Name": "Desert", "Character_Name": "Zebr", "Scene_Light": "green"}, {"World_Name": "Desert",
        "Scene_Light": "rde"},
        {"World_Name": "Desert", "Scene_Light": "255,0,0,1"}, {"World_Name": "Desert", "Scene_Light": "red"},
        {"World_Name": "Desert", "Subset": "x"},
        {"World_Name": "Desert", "Character_Scale": 9}, {"World_Name": "Desert", "Character_Texture": "x" * 200},
        {"World_Name": "Desert", "Character1_Pos": "on"}, {"Weather": "rain"}, {"World_Name": "Desert", "\ud800": 1},
        {"World_Name": 5},
        {"World_Name": "Snow", "Character_Name": "Camel", "Character2_Name": "Zebra", "Camera_Yaw": 45.5,
        "Character_Location": "1,2,3"},
    ]  # fmt: skip
    found += [{**base, "scene": scene} for scene in scenes]
    texts = [json.dumps(one, ensure_ascii=n % 2 == 0) for n, one in enumerate(found)]
    deep = "[" * (DEEP - 1) + "]" * (DEEP - 1)
    return [
        *texts, "", " ", "no JSON", '{"tmv":1', '{"tmv":1,"id":"a","tmv":2}',
        '{"tmv":2,"id":"b","do":"hello","tmv":1,"id":"a"}',
        '{"tmv":1.0,"id":"a","do":"hello"}', '{"tmv":1e0,"id":"a","do":"hello"}',
        '{"tmv":10e-1,"id":"a","do":"hello"}', "\ufeff{}",
        '{"tmv":1,"id":"a","do":"\\u0068ello"}', '\n{ "tmv" : 1 , "id" : "a" , "do" : "hello" }\t',
        f'{{"tmv":1,"id":"a","do":{deep}}}',
        f'{{"tmv":1,"id":"a","do":[{deep}]}}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert"},"seed":' + "7" * 4300 + "}",
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert"},"seed":' + "7" * 4301 + "}",
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Snow","World_Name":"Desert"}}',
        '{"tmv":1,"id":"a","do":"render","scene":{"Camera_Yaw":1e400,"World_Name":"Desert"}}',
    ]  # fmt: skip


def channel() -> Iterator[dict[str, Any]]:
    """Messages of the data channel: files and responses to the player, inputs of the streamer."""
    for size in (0, 1, 16378, 16379, 16380, 32758, 32759, 100_000):
        extension, mime, data = f"r{size}.rgb.png", codec.MIME["png"], bytes(n * 7 % 251 for n in range(size))
        sent = list(dc.encode_file(extension, mime, data))
        yield {
            "file": {"extension": extension, "mime": mime, "size": size},
            "sizes": [len(one) for one in sent],
            "sha256": hashlib.sha256(b"".join(sent)).hexdigest(),
        }
    for text in ("", "a", '{"tmv":1}', "é€😀", "\ud800", "\ud83d\ude00x"):
        yield {"response": text, "hex": dc.encode_output("Response", text).hex()}
    inputs = [
        dc.encode_input("UIInteraction", text) for text in ("", "{}", "é€😀", "\ud800", "x" * 300, "\U0010ffff" * 10)
    ]
    inputs += [dc.encode_input(name) for name in dc.TO_STREAMER]
    inputs += [dc.encode_input(name, "1.5") for name in ("LatencyTest", "TestEcho", "Command", "TextboxEntry")]
    inputs += [
        b"",
        b"\x32",
        b"\x32\x01",
        b"\x32\x01\x00",
        b"\x32\x01\x00a",
        b"\x32\x01\x00a\x00b",
        b"\x32\x02\x00a\x00",
        b"\x32\x00\x00a",
        b"\xc8abc",
    ]
    inputs += [
        b"\x32\x02\x00\x3d\xd8\x00\xde",
        b"\x32\x02\x00\x00\xde\x3d\xd8",
        bytes([50, 3]) + "abc".encode("utf-16-be") + b"\x00",
        b"\x3c\x01\x02",
    ]
    for data in inputs:
        try:
            found = dc.decode_input(data)
        except ProtocolError as error:
            yield {"input": data.hex(), "error": str(error)}
        else:
            yield {"input": data.hex(), "name": found.name, "text": found.text, "payload": found.payload.hex()}


def settling() -> Iterator[dict[str, Any]]:
    """Frames as [time in ms, levels, textures, shaders, other things that still load], and whether it is final.

    Settled: nothing loaded in ``quiet_frames`` frames in a row (in one, where the picture is the last one again). Over:
    the budget of frames or milliseconds is spent.
    """
    rng = random.Random(18)
    quiet = [[n * 16, 0, 0, 0, 0] for n in range(40)]
    frames: list[list[list[float]]] = [quiet[:n] for n in (0, 1, 2, 3, 4, 5, 20)]
    frames += [[*quiet[:3], [48, 0, 1, 0, 0], *quiet[4:7]], [*quiet[:3], [48, 0, 1, 0, 0], *quiet[4:8]]]
    frames += [
        [[n * 16, 1, 0, 2, 0] for n in range(20)],
        [[0.125, 0, 0, 0, 5], [7.0625, 0, 0, 0, 0], [9999, 0, 0, 0, 0]],
    ]
    frames += [[[1000, 0, 0, 0, 0], [990, 0, 0, 0, 0], [1000.0004, 0, 0, 0, 0], [1001, 0, 0, 0, 0]]]
    for _ in range(30):
        now, drawn = rng.uniform(0, 1e6), []
        for _ in range(rng.randint(1, 30)):
            now += rng.choice([8, 16.6, 33.3, 400])
            drawn.append([round(now, 3), *(rng.choice([0, 0, 0, 0, 0, 0, 3]) for _ in range(4))])
        frames.append(drawn)
    for n, drawn in enumerate(frames):
        budget = {
            "quiet_frames": (4, 1, 3)[n % 3],
            "max_frames": (12, 25)[n % 2],
            "max_ms": (60000, 2000, 100)[n // 2 % 3],
        }
        for changed in (True, False):
            yield {"budget": budget, "changed": changed, "frames": drawn, **_settled(budget, changed, drawn)}


def _settled(budget: dict[str, int], changed: bool, frames: list[list[float]]) -> dict[str, Any]:
    kinds = ("levels", "textures", "shaders", "other")
    waited, quiet, elapsed = dict.fromkeys(kinds, 0), 0, 0.0
    needed = budget["quiet_frames"] if changed else 1
    for count, (now, *loading) in enumerate(frames, 1):
        elapsed = max(elapsed, now - frames[0][0])
        quiet = 0 if any(loading) else quiet + 1
        for kind, number in zip(kinds, loading, strict=True):
            waited[kind] += number != 0
        if quiet >= needed:
            ms = math.floor(elapsed * 1000 + 0.5) / 1000
            return {
                "state": "settled",
                "report": {"settled": True, "frames": count, "ms": ms, "quiet_frames": quiet, "waited": waited},
            }
        if count >= budget["max_frames"] or elapsed >= budget["max_ms"]:
            still = [f"{kind}: {number}" for kind, number in zip(kinds, loading, strict=True) if number]
            lacks = (
                f"still loading: {', '.join(still)}" if still else f"{quiet} quiet frames in a row, {needed} are needed"
            )
            return {
                "state": "over",
                "reason": f"the picture had not settled after {count} frames and {math.floor(elapsed)} ms "
                f"(at most {budget['max_frames']} and {budget['max_ms']}); {lacks}",
            }
    return {"state": "waiting"}


def changing() -> Iterator[dict[str, Any]]:
    """Scenes that a world shows now (``null``: not known) and next, and which factors are applied, in their order."""
    base = {"World_Name": "Desert", "Character_Name": "Zebra", "Character2_Name": "Camel", "Camera_Yaw": 10}
    others: list[dict[str, Any]] = [
        {}, {"World_Name": "Snow"}, {"Character_Name": "Camel"}, {"Character2_Name": "blank"}, {"Camera_Yaw": 20},
        {"Camera_Pitch": 340},
        {"Character_Scale": 2}, {"Character2_Rotation_Yaw": 5}, {"Character_Texture": "Red"},
        {"Character1_Pos": "left"},
        {"Character2_Location": "1,2,3", "Camera_Roll": 3}, {"Scene_Light": "red"}, {"Subset": "x"},
        {"Character_Name": "blank", "Sample": 3},
        {"Scene_Light": "red", "Character_Texture": "Blue", "Camera_Yaw": 0},
        {"Rain": 3, "Fog_Visibility": 200, "Character_Speed": 2}, {"Fog_Visibility": "own", "Sun_Azimuth": 360},
    ]  # fmt: skip
    for n, change in enumerate(others):
        for now in (None, base, {**base, **others[n - 1]}):
            following = {**base, **change}
            yield {"now": now, "next": following, "changes": " ".join(_changes(now, following))}


_ORDER = [
    "World_Name",
    "Character_Name",
    "Character2_Name",
    "Character_Texture",
    "Character2_Texture",
    "Character_Scale",
    "Character_Rotation_Yaw",
    "Character_Rotation_Pitch",
    "Character_Rotation_Roll",
    "Character2_Scale",
    "Character2_Rotation_Yaw",
    "Character2_Rotation_Pitch",
    "Character2_Rotation_Roll",
    "Character_Location",
    "Character1_Pos",
    "Character2_Location",
    "Character2_Pos",
    "Camera_Yaw",
    "Camera_Pitch",
    "Camera_Roll",
    "Scene_Light",
]
"""The world, who stands in it, how they look, how large and turned they are, where they stand, the camera, light."""
_EVERY = _ORDER + [factor.wire for factor in FACTORS if not factor.label and factor.wire not in _ORDER]
"""And the conditions."""


def _changes(now: dict[str, Any] | None, following: dict[str, Any]) -> list[str]:
    old, new = None if now is None else Scene(now), Scene(following)
    differ = {name for name in _EVERY if old is None or old[name] != new[name]}
    if "World_Name" in differ:  # a new world is empty
        return _EVERY
    for name in ("Character", "Character2"):  # a new character is plain
        if f"{name}_Name" in differ:
            differ |= {one for one in _ORDER if one.startswith(f"{name}_")}
    # Where one stands may depend on the other: on it, behind it.
    if any(
        "Scale" in name or "Rotation" in name or "_Pos" in name or "_Location" in name or name in _ORDER[1:3]
        for name in differ
    ):
        differ |= {name for name in _ORDER if name.endswith(("_Pos", "_Location"))}
    return [name for name in _EVERY if name in differ]


VECTORS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "json": jsons, "scenes": scenes, "requests": requests, "channel": channel, "settle": settling, "changes": changing,
}  # fmt: skip


def text_of(name: str) -> str:
    """Return what a file should hold: its cases, one a line."""
    about = " ".join((VECTORS[name].__doc__ or "").split())
    head = {"about": about, "made_by": "generate.py"}
    if name == "requests":
        head["catalogue"] = MarkerEngine().catalogue().model_dump(mode="json")  # type: ignore[assignment]
    lines = [json.dumps(head)[:-1] + ', "cases": [']
    cases = [json.dumps(case) for case in VECTORS[name]()]
    return "\n".join([*lines, ",\n".join(cases), "]}", ""])


def outdated() -> list[str]:
    """Return the files that are not what would be written."""
    return [
        name for name in VECTORS if not (path := FOLDER / f"{name}.json").exists() or path.read_text() != text_of(name)
    ]


def write_corpus(folder: Path) -> None:
    """Write the texts that go in as files: what the fuzz targets begin with."""
    folder.mkdir(parents=True, exist_ok=True)
    held = [
        case
        for name in ("json", "scenes", "requests")
        for case in json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    ]
    for n, case in enumerate(held):
        text = str(case.get("text", case.get("levels")))
        if len(text) <= 4096:
            (folder / f"{n:04d}").write_bytes(text.encode("utf-8", "surrogatepass"))
    scene = '{"World_Name":"Desert","Camera_Yaw":45,"Character_Name":"Zebra"}'
    render = '{"tmv":1,"do":"render","id":"a","scene":' + scene + ',"passes":["rgb","mask"]}'
    scripts = [
        "R" + render,
        "A" + scene,
        "F",
        "F\x01",
        "C",
        "D",
        "R" + render,
        "L",
        "W",
        "X",
        "R" + render,
        "A",
        "F",
        "F",
        "D",
    ]
    (folder / "script").write_bytes(b"\xff".join(one.encode() for one in ["", *scripts]))
    inputs = [
        bytes.fromhex(case["input"])
        for case in json.loads((FOLDER / "channel.json").read_text())["cases"]
        if "input" in case
    ]
    (folder / "inputs").write_bytes(b"\xff".join([b"", *(b"I" + one for one in inputs)]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(", ".join(outdated()) + ": run generate.py" if outdated() else 0)
    if sys.argv[1:2] == ["--corpus"]:
        write_corpus(Path(sys.argv[2]))
        sys.exit(0)
    for each in VECTORS:
        (FOLDER / f"{each}.json").write_text(text_of(each))
