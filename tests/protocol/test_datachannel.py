"""The data channel's bytes.

What could silently be wrong: a picture put together from two, a length that lets one message eat the memory, a parser
that dies of bytes which nobody expected and takes the session along.
"""

from __future__ import annotations

import json
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol import datachannel as dc

HEADS = st.sampled_from([*range(0, 16), 50, 51, 52, 60, 77, 255]).map(lambda n: bytes([n]))
MESSAGES = st.builds(
    lambda head, length, body: head + length + body,
    HEADS,
    st.one_of(
        st.just(b""), st.integers(-5, 200).map(lambda n: struct.pack("<i", n)), st.just(b"\x00"), st.just(b"\x01")
    ),
    st.one_of(
        st.binary(max_size=120),
        st.text(max_size=40).map(lambda t: t.encode("utf-16-le", "surrogatepass")),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=8) | st.floats(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        ).map(lambda value: json.dumps(value).encode("utf-16-le", "surrogatepass")),
    ),
)


@given(st.lists(MESSAGES | st.binary(max_size=60), max_size=30))
def test_any_bytes_are_events_or_a_protocol_error(messages: list[bytes]) -> None:
    receiver = dc.Receiver(max_payload=256)
    for message in messages:
        try:
            events = receiver.feed(message)
        except ProtocolError:
            continue
        for event in events:
            assert isinstance(event, dc.Response | dc.FreezeFrame | dc.File | dc.Broken | dc.Notice)
            if isinstance(event, dc.FreezeFrame | dc.File):
                assert len(event.data) <= 256
        held = sum(len(body) for _, body in receiver._parts.values())
        assert held <= 2 * 256, "an unfinished payload grows beyond its bound"


@given(MESSAGES | st.binary(max_size=60))
def test_any_bytes_to_the_streamer_are_an_input_or_a_protocol_error(data: bytes) -> None:
    try:
        message = dc.decode_input(data)
    except ProtocolError:
        return
    assert message.name


@given(st.text(max_size=300), st.sampled_from(["UIInteraction", "Command", "TextboxEntry", "TestEcho"]))
def test_input_comes_back(text: str, name: str) -> None:
    assert dc.decode_input(dc.encode_input(name, text)) == dc.Input(name, text=text)


@given(st.text(max_size=300))
def test_response_comes_back(text: str) -> None:
    assert dc.Receiver().feed(dc.encode_output("Response", text)) == [dc.Response(text)]


def test_the_layout_of_an_interaction_is_the_documented_one() -> None:
    assert dc.encode_input("UIInteraction", "hé") == b"\x32\x02\x00h\x00\xe9\x00"


def test_the_layout_of_the_public_release_is_read() -> None:
    text = '{"World_Name":"Bridge"}'
    odd = bytes([50, len(text)]) + text.encode("utf-16-be") + b"\x00"
    assert dc.decode_input(odd) == dc.Input("UIInteraction", text=text)


def test_a_text_of_65535_units_is_the_longest() -> None:
    assert dc.decode_input(dc.encode_input("UIInteraction", "x" * 65535)).text == "x" * 65535
    with pytest.raises(ProtocolError, match=r"65536 .* 65535"):
        dc.encode_input("UIInteraction", "x" * 65536)
    with pytest.raises(ProtocolError):
        dc.encode_input("UIInteraction", "🐘" * 32768)  # two units each


@given(st.binary(max_size=5000), st.integers(6, 600))
def test_a_file_comes_back_whatever_the_chunk(data: bytes, chunk: int) -> None:
    receiver = dc.Receiver()
    messages = [
        dc.encode_output("FileExtension", "r1.rgb.png"), dc.encode_output("FileMimeType", "image/png"),
        *dc.encode_chunks("FileContents", data, chunk=chunk),
    ]  # fmt: skip
    assert all(len(message) <= max(chunk, 30) for message in messages)
    events = [event for message in messages for event in receiver.feed(message)]
    assert events == [dc.File("r1.rgb.png", "image/png", data)]


def test_messages_are_at_most_16_kib() -> None:
    messages = list(dc.encode_file("r1.rgb.png", "image/png", bytes(400_000)))
    assert max(map(len, messages)) == 16 * 1024
    assert messages[-1][:5] == b"\x0a" + struct.pack("<i", 400_000)


def test_a_file_and_a_freeze_frame_may_interleave() -> None:
    receiver = dc.Receiver()
    receiver.feed(dc.encode_output("FileExtension", "a.rgb.png"))
    file = list(dc.encode_chunks("FileContents", b"f" * 30, chunk=15))
    freeze = list(dc.encode_chunks("FreezeFrame", b"z" * 20, chunk=15))
    events = [e for pair in zip(file, [*freeze, b"\x04"], strict=True) for m in pair for e in receiver.feed(m)]
    assert dc.File("a.rgb.png", "", b"f" * 30) in events
    assert dc.FreezeFrame(b"z" * 20) in events


def test_a_file_that_breaks_off_is_named_and_the_next_is_whole() -> None:
    receiver = dc.Receiver()
    first = list(dc.encode_file("r1.rgb.png", "image/png", b"1" * 20_000))
    for message in first[:3]:
        assert receiver.feed(message) == []
    events = [e for m in dc.encode_file("r2.rgb.png", "image/png", b"2" * 20_000) for e in receiver.feed(m)]
    broken, file = events
    assert isinstance(broken, dc.Broken)
    assert broken.extension == "r1.rgb.png"
    assert file == dc.File("r2.rgb.png", "image/png", b"2" * 20_000)


@pytest.mark.parametrize("total", [-1, -(2**31), 65 * 2**20, 2**31 - 1])
def test_an_announced_size_out_of_bounds_is_refused_before_memory_is_taken(total: int) -> None:
    receiver = dc.Receiver()
    (event,) = receiver.feed(b"\x03" + struct.pack("<i", total) + b"x")
    assert isinstance(event, dc.Broken)
    assert sys.getsizeof(receiver._parts) < 1000


def test_more_bytes_than_announced_are_refused() -> None:
    (event,) = dc.Receiver().feed(b"\x03" + struct.pack("<i", 3) + b"four")
    assert isinstance(event, dc.Broken)


def test_the_layout_of_protocol_is_that_of_epics_front_ends() -> None:
    """What could silently be wrong: front ends that cannot read the message keep the ids of UE 5.0."""
    message = dc.MessageIds().encode_protocol(1)
    assert message[:3] == b"\xff{\x00"
    body = json.loads(message[1:].decode("utf-16-le"))
    assert body["Direction"] == 1
    assert body["Response"] == {"id": 1, "structure": ["string"]}
    to_streamer = json.loads(dc.MessageIds().encode_protocol(0)[1:].decode("utf-16-le"))
    assert to_streamer["UIInteraction"] == {"id": 50, "structure": ["string"], "byteLength": 0}
    assert all("byteLength" in entry for entry in to_streamer.values() if isinstance(entry, dict)), "5.0 to 5.2 ask it"


@pytest.mark.parametrize("stray", [b"", b"\x00", b"\x01"])
@pytest.mark.parametrize("direction", [0, 1])
def test_protocol_is_read_with_and_without_the_byte_of_our_older_streamers(stray: bytes, direction: int) -> None:
    receiver = dc.Receiver()
    name = ["UIInteraction", "Response"][direction]
    text = json.dumps({"Direction": direction, name: {"id": 99, "structure": ["string"]}})
    receiver.feed(b"\xff" + stray + text.encode("utf-16-le"))
    table = [receiver.ids.to_streamer, receiver.ids.to_player][direction]
    assert table[name] == 99
    assert [receiver.ids.to_streamer, receiver.ids.to_player][1 - direction].get(name) != 99


@pytest.mark.parametrize("direction", [None, 2, "1", True, [0]])
def test_a_protocol_message_without_a_direction_is_refused(direction: object) -> None:
    receiver = dc.Receiver()
    with pytest.raises(ProtocolError, match="Direction"):
        receiver.feed(b"\xff" + json.dumps({"Direction": direction, "Response": {"id": 9}}).encode("utf-16-le"))
    assert receiver.ids == dc.MessageIds()


def test_protocol_message_moves_the_ids() -> None:
    receiver = dc.Receiver()
    streamer = dc.MessageIds()
    streamer.update(0, {"UIInteraction": {"id": 150, "structure": ["string"]}})
    streamer.update(1, {"Response": {"id": 99, "structure": ["string"]}, "Novelty": {"id": 3}})
    receiver.feed(streamer.encode_protocol(0))
    receiver.feed(streamer.encode_protocol(1))
    assert dc.encode_input("UIInteraction", "x", receiver.ids)[0] == 150
    assert receiver.feed(dc.encode_output("Response", "hello", streamer)) == [dc.Response("hello")]
    (event,) = receiver.feed(b"\x03abc")
    assert isinstance(event, dc.Notice), "id 3 was given away and must not be read as a freeze frame"
    assert event.name == "Novelty"


@pytest.mark.parametrize(
    "definition",
    [{"Response": {"id": 256}}, {"Response": {"id": True}}, {"Response": {}}, {"A": {"id": 5}, "B": {"id": 5}}],
)
def test_a_protocol_message_that_cannot_be_is_refused_and_changes_nothing(definition: dict[str, object]) -> None:
    receiver = dc.Receiver()
    with pytest.raises(ProtocolError, match="Protocol"):
        receiver.feed(b"\xff" + json.dumps({"Direction": 1, **definition}).encode("utf-16-le"))
    assert receiver.ids == dc.MessageIds()
