"""Signalling: the three roles talk to each other, in both generations.

What could silently be wrong: a player that waits for ever for an offer that a server of the other generation never
sends; a message that reaches another player; a streamer that is there and cannot be found.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol import signalling as sig

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
TYPES = [
    "config", "identify", "endpointId", "endpointIdConfirm", "playerConnected", "playerDisconnected", "offer", "answer",
    "iceCandidate", "playerCount", "listStreamers", "streamerList", "subscribe", "unsubscribe", "subscribeFailed",
    "streamerIdChanged", "streamerDisconnected", "ping", "pong", "disconnectPlayer", "layerPreference", "\ud800",
]  # fmt: skip
MESSAGES = st.builds(
    lambda kind, body: {**body, "type": kind},
    st.sampled_from(TYPES),
    st.dictionaries(
        st.sampled_from(["id", "ids", "sdp", "playerId", "streamerId", "candidate", "peerConnectionOptions", "time",
                         "newID", "committedId", "protocolVersion", "message"]),
        JSON | st.sampled_from(["101", "102", 101, {"candidate": "x", "sdpMid": "0"}]),
    ),
)  # fmt: skip


@given(st.text() | JSON.map(json.dumps) | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_message_or_a_protocol_error(text: str) -> None:
    try:
        assert isinstance(sig.parse(text)["type"], str)
    except ProtocolError:
        return


def test_a_message_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="limit"):
        sig.parse(json.dumps({"type": "x" * sig.MAX_MESSAGE}))


@given(st.lists(MESSAGES, max_size=10))
def test_any_messages_leave_player_and_streamer_standing(messages: list[sig.Message]) -> None:
    player, streamer = sig.PlayerSession(), sig.StreamerSession("s")
    for message in messages:
        for one in (player, streamer):
            try:
                one.feed(message)
            except ProtocolError:
                continue


@given(st.sampled_from(["legacy", "modern"]), st.lists(st.tuples(st.sampled_from("ABPQ"), MESSAGES), max_size=20))
def test_any_messages_leave_the_server_standing(generation: Any, messages: list[tuple[str, sig.Message]]) -> None:
    core = sig.ServerCore(generation)
    for key in "ABPQ":
        core.join(key, "streamer" if key in "AB" else "player")
    for key, message in messages:
        try:
            sent = core.feed(key, message)
        except ProtocolError:
            continue
        for to, out in sent:
            assert to in set("ABPQ")
            if isinstance(out, sig.Hangup):
                assert to in set("PQ")
                continue
            json.dumps(out)
            if to in set("PQ"):
                assert "playerId" not in out
    for key in "ABPQ":
        core.leave(key)
    assert not core._peers


class Net:
    """A server with streamers and players around it, every message passed on at once."""

    def __init__(self, generation: Any) -> None:
        self.core = sig.ServerCore(generation)
        self.sessions: dict[str, sig.PlayerSession | sig.StreamerSession] = {}
        self.actions: dict[str, list[sig.Action]] = {}
        self.hung_up: dict[str, str] = {}

    def join(self, key: str, session: sig.PlayerSession | sig.StreamerSession) -> None:
        self.sessions[key] = session
        self.actions[key] = []
        self.deliver(self.core.join(key, "streamer" if isinstance(session, sig.StreamerSession) else "player"))

    def deliver(self, messages: list[sig.Out]) -> None:
        for key, message in messages:
            if isinstance(message, sig.Hangup):
                self.hung_up[str(key)] = message.reason
                self.leave(str(key))
            elif str(key) in self.sessions:
                self.act(str(key), self.sessions[str(key)].feed(json.loads(json.dumps(message))))

    def act(self, key: str, actions: list[sig.Action]) -> None:
        for action in actions:
            self.actions[key].append(action)
            if isinstance(action, sig.Send):
                self.send(key, action.message)
            elif isinstance(action, sig.PlayerJoined):
                self.send(key, sig.StreamerSession.offer(f"offer to {action.player}", action.player))
            elif isinstance(action, sig.Offer):
                self.send(key, sig.PlayerSession.answer(f"answer to '{action.sdp}'"))

    def send(self, key: str, message: sig.Message) -> None:
        self.deliver(self.core.feed(key, message))

    def leave(self, key: str) -> None:
        del self.sessions[key]
        self.deliver(self.core.leave(key))

    def of(self, key: str, kind: Any) -> list[Any]:
        return [action for action in self.actions[key] if isinstance(action, kind)]


@pytest.mark.parametrize("generation", ["legacy", "modern"])
@pytest.mark.parametrize("first", ["streamer", "player"])
def test_offer_and_answer_meet(generation: Any, first: str) -> None:
    net = Net(generation)
    player = sig.PlayerSession()
    if first == "streamer":
        net.join("S", sig.StreamerSession("unreal"))
        net.join("P", player)
    else:
        net.join("P", player)
        net.join("S", sig.StreamerSession("unreal"))
        if net.of("P", sig.WaitForStreamer):
            net.act("P", player.ask())
    assert len(net.of("P", sig.Offer)) == 1
    (answer,) = net.of("S", sig.Answer)
    assert answer.sdp == f"answer to 'offer to {answer.player}'"


def test_two_players_get_their_own_messages() -> None:
    net = Net("modern")
    net.join("S", sig.StreamerSession("unreal"))
    net.join("P", sig.PlayerSession())
    net.join("Q", sig.PlayerSession())
    answers = net.of("S", sig.Answer)
    assert len({answer.player for answer in answers}) == 2
    for key, answer in zip("PQ", answers, strict=True):
        net.send("S", {"type": "iceCandidate", "candidate": {"candidate": key}, "playerId": answer.player})
        (candidate,) = net.of(key, sig.Candidate)
        assert candidate.candidate == {"candidate": key}
    net.leave("Q")
    assert net.of("S", sig.PlayerLeft) == [sig.PlayerLeft(answers[1].player)]


@pytest.mark.parametrize("player_id", [7, "7"])
def test_ids_may_be_numbers_or_strings(player_id: Any) -> None:
    (joined,) = sig.StreamerSession("s").feed({"type": "playerConnected", "playerId": player_id})
    assert joined == sig.PlayerJoined("7")


def test_a_legacy_server_numbers_its_players_and_a_modern_one_names_them() -> None:
    for generation, kind in (("legacy", int), ("modern", str)):
        core = sig.ServerCore(generation)  # type: ignore[arg-type]
        core.join("S", "streamer")
        core.feed("S", {"type": "endpointId", "id": "s"}) if generation == "modern" else None
        sent = core.join("P", "player")
        if generation == "modern":
            sent = core.feed("P", {"type": "subscribe", "streamerId": "s"})
        (joined,) = [message for key, message in sent if key == "S"]
        assert type(joined["playerId"]) is kind


def test_a_chosen_streamer_is_found_and_an_unknown_one_is_named_with_those_there_are() -> None:
    """What could silently be wrong: minutes of waiting for a name with a typing error in it."""
    net = Net("modern")
    net.join("early", sig.PlayerSession("left"))
    assert net.of("early", sig.WaitForStreamer), "nobody is there yet: it may be on its way"
    net.join("A", sig.StreamerSession("left"))
    net.join("B", sig.StreamerSession("right"))
    net.join("P", sig.PlayerSession("right"))
    assert len(net.of("B", sig.Answer)) == 1
    assert not net.of("A", sig.Answer)
    net.join("Q", sig.PlayerSession("rihgt"))
    (unknown,) = net.of("Q", sig.Unknown)
    assert unknown.reason == "there is no streamer 'rihgt'; there is 'left', 'right'. Did you mean 'right'?"
    net.join("R", sig.PlayerSession("rihgt", wait_for_streamer=True))
    assert net.of("R", sig.WaitForStreamer)
    assert not net.of("R", sig.Unknown)


def test_streamers_of_one_name_are_numbered_as_epic_numbers_them() -> None:
    net = Net("modern")
    sessions = [sig.StreamerSession("Name") for _ in range(4)]
    for number, session in enumerate(sessions):
        net.join(f"S{number}", session)
    assert [session.id for session in sessions] == ["Name", "Name1", "Name2", "Name3"]
    net.leave("S1")
    net.join("S4", one := sig.StreamerSession("Name"))
    assert one.id == "Name4"
    net.join("S5", two := sig.StreamerSession("Name4"))
    assert two.id not in {session.id for session in (*sessions, one)}


def test_a_streamer_asks_for_its_own_id_on_every_connection() -> None:
    """What could silently be wrong: a name that grows with every connection (Name, Name1, Name11), and is not found."""
    net = Net("modern")
    lingering, streamer = sig.StreamerSession("Name"), sig.StreamerSession("Name")
    net.join("old socket", lingering)
    net.join("first", streamer)
    assert streamer.id == "Name1"
    net.leave("first")
    net.join("second", streamer)
    assert streamer.id == "Name1"
    net.leave("second")
    net.leave("old socket")
    net.join("third", streamer)
    assert streamer.id == "Name"


@pytest.mark.parametrize("first", ["streamer", "player"])
def test_a_player_that_never_asks_gets_an_offer_after_a_while_and_one_that_asks_gets_one(first: str) -> None:
    net = Net("modern")
    silent, asking = sig.PlayerSession(legacy=True), sig.PlayerSession()
    if first == "streamer":
        net.join("S", sig.StreamerSession("unreal"))
    net.join("silent", silent)
    net.send("silent", {"type": "ping", "time": 1})
    net.join("asking", asking)
    assert not net.of("silent", sig.Offer)
    for key in ("silent", "asking"):
        net.deliver(net.core.assume_legacy(key))
    if first == "player":
        net.join("S", sig.StreamerSession("unreal"))
        net.act("asking", asking.ask())
    assert len(net.of("silent", sig.Offer)) == 1
    assert len(net.of("asking", sig.Offer)) == 1
    assert len(net.of("S", sig.Answer)) == 2
    net.join("second", sig.StreamerSession("another"))
    assert not net.of("second", sig.PlayerJoined), "a player was taken away from its streamer"


def test_a_streamer_that_changes_its_id_keeps_its_players() -> None:
    net = Net("modern")
    net.join("S", sig.StreamerSession("before"))
    player = sig.PlayerSession()
    net.join("P", player)
    net.send("S", {"type": "endpointId", "id": "after"})
    assert player.subscribed == "after"
    net.send("P", {"type": "iceCandidate", "candidate": {"candidate": "c"}})
    assert len(net.of("S", sig.Candidate)) == 1


@pytest.mark.parametrize("generation", ["legacy", "modern"])
@pytest.mark.parametrize("how", ["it leaves", "it ends the one"])
def test_players_without_their_streamer_are_told_and_hung_up_on_and_find_it_again(generation: Any, how: str) -> None:
    net = Net(generation)
    net.join("S", sig.StreamerSession("unreal"))
    net.join("P", sig.PlayerSession())
    if how == "it leaves":
        net.leave("S")
        net.join("S", sig.StreamerSession("unreal"))
    else:
        (joined,) = net.of("S", sig.PlayerJoined)
        net.send("S", {"type": "disconnectPlayer", "playerId": joined.player, "reason": "idle"})
    assert net.of("P", sig.Lost)
    assert "the streamer" in net.hung_up["P"]
    assert "P" not in net.sessions
    net.join("P", sig.PlayerSession())
    assert len(net.of("P", sig.Offer)) == 1


def test_a_second_streamer_of_a_legacy_server_leaves_the_players_where_they_are() -> None:
    net = Net("legacy")
    net.join("S", sig.StreamerSession("one"))
    net.join("P", sig.PlayerSession())
    net.join("T", sig.StreamerSession("two"))
    assert not net.of("T", sig.PlayerJoined)


def test_a_streamer_of_ue_5_0_is_found_behind_a_modern_server() -> None:
    core = sig.ServerCore("modern")
    core.join("S", "streamer")
    core.join("P", "player")
    ids = core.feed("P", {"type": "listStreamers"})[0][1]["ids"]
    assert ids == []
    core.assume_legacy("S")
    ids = core.feed("P", {"type": "listStreamers"})[0][1]["ids"]
    assert len(ids) == 1
    (joined,) = core.feed("P", {"type": "subscribe", "streamerId": ids[0]})
    assert joined[1]["type"] == "playerConnected"


def test_a_legacy_server_hangs_up_on_what_it_does_not_know_and_the_player_can_tell() -> None:
    core = sig.ServerCore("legacy")
    core.join("P", "player")
    player = sig.PlayerSession()
    player.feed({"type": "config", "peerConnectionOptions": {}})
    (question,) = player.ask()
    assert isinstance(question, sig.Send)
    with pytest.raises(ProtocolError):
        core.feed("P", question.message)
    assert player.asked
    assert not player.answered
    assert sig.PlayerSession(legacy=True).ask() == []


def test_a_player_count_does_not_stop_the_question() -> None:
    """Servers of UE 5.1 to 5.4 count their players and still wait to be asked."""
    player = sig.PlayerSession()
    player.feed({"type": "config", "peerConnectionOptions": {}})
    player.feed({"type": "playerCount", "count": 1})
    assert player.ask() == [sig.Send({"type": "listStreamers"})]


def test_refusals_and_pings() -> None:
    player = sig.PlayerSession()
    (lost,) = player.feed({"type": "subscribeFailed", "message": "full"})
    assert "full" in lost.reason  # type: ignore[union-attr]
    assert player.feed({"type": "ping", "time": 5}) == [sig.Send({"type": "pong", "time": 5})]
    assert sig.ServerCore().join("P", "player")
    core = sig.ServerCore(max_peers=1)
    core.join("P", "player")
    assert core.feed("P", {"type": "ping", "time": 5}) == [("P", {"type": "pong", "time": 5})]
    with pytest.raises(ProtocolError, match="1 peers"):
        core.join("Q", "player")
