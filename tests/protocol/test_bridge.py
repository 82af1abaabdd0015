"""The two dialects.

What could silently be wrong: a picture believed that was not proven to be the one asked for.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torchmultiverse.errors import ProtocolError, SpecError
from torchmultiverse.protocol import bridge, messages, pug
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.scenes import Scene
from torchmultiverse.serve.answers import read_request

SCENE = Scene({"World_Name": "Desert", "Character_Name": "Elephant", "Camera_Yaw": 45})
OTHER = SCENE.changed(Camera_Yaw=46)
PICTURE = b"a picture"


def done(request: str = "r1", scene: Scene = SCENE, data: bytes = PICTURE, **changes: Any) -> dc.Response:
    message = {
        "tmv": 1, "id": request, "state": "done", "scene_id": scene.scene_id,
        "sha256": {"rgb": hashlib.sha256(data).hexdigest()}, "settle": {"settled": True}, **changes,
    }  # fmt: skip
    return dc.Response(json.dumps({k: v for k, v in message.items() if v is not None}))


def session() -> bridge.BridgeSession:
    one = bridge.BridgeSession()
    one.expect("r1", SCENE, ("rgb",))
    return one


def file(request: str = "r1", name: str = "rgb", data: bytes = PICTURE) -> dc.File:
    return dc.File(f"{request}.{name}.png", "image/png", data)


def test_a_proven_picture_is_delivered_once() -> None:
    one = session()
    assert one.feed(file()) == []
    (delivery,) = one.feed(done())
    assert isinstance(delivery, bridge.Delivery)
    assert delivery.passes == {"rgb": PICTURE}
    assert one.feed(file()) == []
    assert one.feed(done()) == []


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([file(), done(scene=OTHER)], "applied scene"),
        ([file(), done(scene_id=None)], "applied scene"),
        ([file(data=b"another"), done()], "SHA-256"),
        ([file(), done(sha256=None)], "hashes"),
        ([file(), done(sha256={})], "SHA-256"),
        ([done()], "did not come"),
        ([file(), done(settle={"settled": False})], "settled"),
        ([file(), done(settle=None)], "settled"),
        ([file(), file(data=b"another"), done()], "differed"),
        ([file(name="mask"), done()], "not asked"),
        ([dc.Broken("r1.rgb.png", "short")], "short"),
    ],
)
def test_what_is_not_proven_is_refused(events: list[dc.Event], why: str) -> None:
    one = session()
    outcomes = [outcome for event in events for outcome in one.feed(event)]
    assert [type(outcome) for outcome in outcomes] == [bridge.Refusal]
    assert why in outcomes[0].reason  # type: ignore[union-attr]


def test_a_failure_is_final_unless_the_engine_says_it_may_pass() -> None:
    failed = {"tmv": 1, "id": "r1", "state": "failed", "reason": "no such world"}
    (outcome,) = session().feed(dc.Response(json.dumps(failed)))
    assert outcome == bridge.Rejected("r1", "no such world")
    (outcome,) = session().feed(dc.Response(json.dumps({**failed, "again": True})))
    assert outcome == bridge.Refusal("r1", "no such world")


def test_pictures_of_forgotten_requests_find_nobody() -> None:
    one = session()
    one.feed(file())
    one.forget("r1")
    assert one.feed(done()) == []
    one.expect("r1", SCENE, ("rgb",))
    (outcome,) = one.feed(done())
    assert isinstance(outcome, bridge.Refusal), "the file of the forgotten request must not be used"


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.builds(file, st.sampled_from(["r1", "r2", "", ".."]), st.sampled_from(["rgb", "mask", ""]), st.binary()),
            st.builds(dc.Response, st.text()),
            st.builds(
                lambda body: dc.Response(json.dumps(body)),
                st.fixed_dictionaries(
                    {"tmv": st.sampled_from([1, 2, None]), "id": st.sampled_from(["r1", "r2", 7, ""])},
                    optional={
                        "state": st.sampled_from(["done", "failed", "settled", "what", [], None]),
                        "scene_id": st.just(SCENE.scene_id) | st.text(max_size=5) | st.none(),
                        "sha256": st.none() | st.dictionaries(st.sampled_from(["rgb"]), st.text(max_size=5)),
                        "settle": st.just({"settled": True}) | st.none() | st.text(max_size=3),
                        "reason": st.none() | st.lists(st.integers()),
                    },
                ),
            ),
        ),
        max_size=12,
    )
)
def test_no_sequence_of_events_delivers_without_proof(events: list[dc.Event]) -> None:
    one = session()
    for event in events:
        for outcome in one.feed(event):
            assert not isinstance(outcome, bridge.Delivery), "the hash of no file was ever right"


@given(st.text() | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)).map(json.dumps))
def test_any_text_is_a_message_none_or_a_protocol_error(text: str) -> None:
    try:
        message = messages.parse(text)
    except ProtocolError:
        return
    assert message is None or isinstance(message["id"], str)


@given(
    st.dictionaries(
        st.sampled_from(["scene", "size", "passes", "seed", "samples", "format"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["World_Name", "Camera_Yaw", "x"]), inner, max_size=3)
            ),
        ),
    )
)
def test_any_request_is_read_or_a_spec_error(request_: dict[str, Any]) -> None:
    try:
        request = messages.read_request({"tmv": 1, "id": "r1", "do": "render", **request_})
        assert isinstance(request, messages.RenderRequest)
        scene, options = read_request(request)
    except (ProtocolError, SpecError):
        return
    assert scene.scene_id
    assert options.size[0] <= 4096


def test_a_request_comes_back() -> None:
    sent = messages.RenderRequest(
        id="r1", scene=SCENE.wire, size=[64, 48], passes=["rgb", "mask"], format="jpeg", seed=7, samples=4
    )
    message = messages.parse(sent.encode())
    assert message is not None
    request = messages.read_request(message)
    assert request == sent
    assert isinstance(request, messages.RenderRequest)
    scene, options = read_request(request)
    assert scene == SCENE
    assert (options.size, options.passes, options.format, options.seed, options.samples) == (
        (64, 48), ("rgb", "mask"), "jpeg", 7, 4,
    )  # fmt: skip


def test_messages_on_the_wire_are_what_they_were() -> None:
    """Engines of others speak this dialect: a field that moves or appears breaks them, and no test of ours."""
    r, wire = "r1", SCENE.wire
    for message, text in (
        (messages.Hello(id=r), '{"do":"hello","id":"r1","tmv":1}'),
        (messages.CatalogueRequest(id=r), '{"do":"catalogue","id":"r1","tmv":1}'),
        (
            messages.RenderRequest(id=r, scene=wire, size=[64, 48], passes=["rgb"], format="png", seed=0, samples=None),
            '{"do":"render","format":"png","id":"r1","passes":["rgb"],"scene":{"Camera_Yaw":45,"Character_Name":'
            '"Elephant","World_Name":"Desert"},"seed":0,"size":[64,48],"tmv":1}',
        ),
        (messages.Accepted(id=r), '{"id":"r1","state":"accepted","tmv":1}'),
        (
            messages.Settled(id=r, settle={"settled": True, "x": None}),
            '{"id":"r1","settle":{"settled":true,"x":null},"state":"settled","tmv":1}',
        ),
        (messages.Failed(id=r, reason="why"), '{"id":"r1","reason":"why","state":"failed","tmv":1}'),
        (
            messages.Failed(id=r, reason="why", again=False),
            '{"again":false,"id":"r1","reason":"why","state":"failed","tmv":1}',
        ),
        (messages.Done(id=r), '{"id":"r1","state":"done","tmv":1}'),
        (
            messages.HelloDone(id=r, engine="e", version="1", fingerprint="f"),
            '{"dialect":"tmv","engine":"e","fingerprint":"f","id":"r1","state":"done","tmv":1,"version":"1"}',
        ),
        (
            messages.RenderDone(id=r, scene_id="s", sha256={"rgb": "h"}, settle={}, timings={"a_ms": 1.5}, engine="e"),
            '{"engine":"e","id":"r1","info":{},"scene_id":"s","settle":{},"sha256":{"rgb":"h"},"state":"done",'
            '"timings":{"a_ms":1.5},"tmv":1}',
        ),
    ):
        assert message.encode() == text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"do": "rendr"}, "do is 'rendr'; hello, catalogue, render are known here. Did you mean 'render'?"),
        ({"do": []}, "do is '[]'; hello, catalogue, render are known here."),
        ({"scene": None}, "scene is 'None'; an object of levels by wire name is right"),
        ({"scene": ...}, "there is no 'scene'; an object of levels by wire name is right"),
        ({"size": [1e9, 5]}, "size.0 is '1000000000.0'; [width, height], two integers in pixels, is right"),
        ({"size": [64, True]}, "size.1 is 'True'; [width, height], two integers in pixels, is right"),
        ({"size": [64]}, "size is '[64]'; [width, height], two integers in pixels, is right"),
        ({"passes": ["rgb", "rgb"]}, "passes is '['rgb', 'rgb']'; a list of names, each once, is right"),
        ({"format": "gif"}, "format is 'gif'; png or jpeg is right"),
        ({"seed": "5"}, "seed is '5'; an integer is right"),
        ({"samples": 0}, "samples is '0'; an integer from 1 to 65536 is right"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_with_what_would_be_right(changes: dict[str, Any], said: str) -> None:
    fields = {"tmv": 1, "id": "r1", "do": "render", "scene": SCENE.wire, **changes}
    with pytest.raises(ProtocolError) as error:
        messages.read_request({name: value for name, value in fields.items() if value is not ...})
    assert str(error.value).replace('"', "'").replace("''", "'") == said


def test_pug_sends_one_factor_a_message_in_the_order_of_the_spec() -> None:
    order = ["Character_Name", "World_Name", "Camera_Yaw"]
    assert [json.loads(text) for text in pug.factors(SCENE, order)] == [
        {"Character_Name": "Elephant"}, {"World_Name": "Desert"}, {"Camera_Yaw": 45},
    ]  # fmt: skip
    assert [json.loads(text) for text in pug.opening(512, 256)] == [
        {"Resolution": 1, "X": 512, "Y": 256}, {"PoolSize": 1},
    ]  # fmt: skip


def test_pug_names_factors_that_went_back_to_their_default() -> None:
    order = ["World_Name", "Character_Name", "Camera_Yaw"]
    texts = pug.factors(Scene({"World_Name": "Snow"}), order)
    assert {"Camera_Yaw": 0} in [json.loads(text) for text in texts], "the last picture's yaw would stay"


def test_the_pug_dialect_sends_every_factor_of_the_spec_each_time() -> None:
    # A factor at its default must be sent, too: the environment would keep the last value, or have another default.
    import json

    from torchmultiverse.protocol import pug

    scene = Scene({"World_Name": "Desert", "Camera_Yaw": 0, "Character_Name": "Zebra"})
    sent = [json.loads(text) for text in pug.factors(scene, ["World_Name", "Camera_Yaw"])]
    assert sent == [{"World_Name": "Desert"}, {"Camera_Yaw": 0}, {"Character_Name": "Zebra"}]


def test_messages_nest_so_deep_and_no_deeper() -> None:
    """As deep as the bridge core of Unreal reads; how deep Python reads depends on its version and on who calls."""
    for more, read in ((0, True), (1, False), (100_000, False)):
        inside = "[" * (messages.MOST_DEPTH - 1 + more) + "]" * (messages.MOST_DEPTH - 1 + more)
        assert (messages.parse(f'{{"tmv":1,"id":"a","what":{inside}}}') is not None) == read
