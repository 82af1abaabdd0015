"""A dataset from an engine that knows no picture ids and does not answer each request once.

Silently wrong would be the labels: after one answer too many every row had the picture of the row before it, and the
run ended "complete". A binary is played by a streamer behind the real signalling server and real WebRTC; its pictures
are test cards that say which scene they show.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contract.live import serve
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.engines import Catalogue, Frame, pairing
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import GenerateReport, generate
from torchmultiverse.farm.parts import join
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.serve.player import Player
from torchmultiverse.serve.streamer import Streamer
from torchmultiverse.store import open_dataset, verify

SPEC = {
    "name": "pug",
    "design": {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert", "Snow"], "Camera_Yaw": {"from": 0, "to": 110, "step": 10}},
    },
    "render": {"size": [96, 96], "format": "jpeg"},
}
COUNT = 24


class Unreal(Streamer):
    """Answers like a packaged binary, with a fault.

    Args:
        double: numbers of the requests that are answered twice, the second time when the next one has come.
        stale: numbers of the requests that are answered with the scene of the one before.
        behind: the engine takes longer than its client: a request is answered by what is ready, and what becomes
            ready then waits for the next one. The client cannot see it by the time, however long it takes itself.
    """

    def __init__(
        self,
        *arguments: Any,
        double: Collection[int] = (),
        stale: Collection[int] = (),
        behind: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.double, self.stale, self.behind = double, stale, behind
        self.ready: deque[Frame] = deque()
        self.sent = 0
        self.requests = 0
        self.last: Frame | None = None
        self.before: dict[str, Any] = {}

    def _interaction(self, player: Player, text: str) -> None:
        self._pug(player, text)
        # Complete with its last factor, and not after a while: a busy machine may take that long between two factors.
        if player.pending_pug is not None and "Camera_Yaw" in text:
            player.pending_pug.cancel()
            self._render_pug(player)

    def _render_pug(self, player: Player) -> None:
        if self.requests - 1 in self.double and self.last is not None:
            self._show(player, self.last)
        wanted = player.factors
        player.factors = self.before if self.requests in self.stale else wanted
        super()._render_pug(player)
        player.factors, self.before = wanted, dict(wanted)
        self.requests += 1
        self._show(player)

    def _freeze(self, player: Player, answer: Any) -> None:
        self.last = answer
        self._show(player, answer)

    def _show(self, player: Player, *ready: Frame) -> None:
        self.ready.extend(ready)
        while self.ready and not (self.behind and self.sent == self.requests):
            super()._freeze(player, self.ready.popleft())
            self.sent += 1


def run(out: Path, check: int = 0, batch: int = 44, **faults: Any) -> tuple[GenerateReport, int]:
    """Render `SPEC`; return the report and how many requests it took."""
    # A picture takes longer than the client listens for strays, as a real one does: what is too many goes unnoticed.
    binary: Any = partial(Unreal, **faults)
    with serve(lambda: MarkerEngine(0.06), streamer_class=binary) as served:
        make: Callable[[], RemoteEngine] = partial(
            RemoteEngine, served.url, dialect="pug", pug_drain=0.03, pug_batch=batch,
            factor_order=["World_Name", "Camera_Yaw"],
        )  # fmt: skip
        report = generate(SPEC, out, make, check=check, progress=False, shard_rows=8)
        return report, served.streamer.requests  # type: ignore[attr-defined]


def wrong(out: Path) -> list[str]:
    """Return the ids of the rows whose pictures show another scene."""
    stored = open_dataset(out)
    ids = stored.table(["scene_id"])["scene_id"].to_pylist()
    return [scene_id for row, scene_id in enumerate(ids) if read_marker(_pixels(stored.image(row))) != scene_id]


def _pixels(picture: Any) -> Any:
    import numpy as np

    return np.asarray(picture.convert("RGB"))


def test_this_binary_shifts_every_later_row(tmp_path: Path) -> None:
    """What the next tests would notice: pictures paired by order alone, one double answer, and a run that ends well."""
    report, _ = run(tmp_path / "d", batch=0, double=(5,), behind=True)
    assert len(wrong(tmp_path / "d")) > 10
    assert report.good
    notes = " ".join(open_dataset(tmp_path / "d").manifest.notes)
    assert "no picture ids" in notes
    assert "was not proven" in notes


@pytest.mark.parametrize("double", [{5}, pytest.param({3, 11, 30}, marks=pytest.mark.slow)], ids=str)
def test_a_double_answer_costs_no_row(double: set[int], tmp_path: Path) -> None:
    report, requests = run(tmp_path / "d", double=double)
    assert report.good
    assert report.images == COUNT
    assert wrong(tmp_path / "d") == []
    assert verify(tmp_path / "d").problems == {}
    assert requests > COUNT
    notes = " ".join(open_dataset(tmp_path / "d").manifest.notes)
    assert "one too many and one too few within the same batch" in notes


def test_what_no_proof_can_notice_is_found_by_the_check_and_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that draws the scene before the one it was asked for, for a while, answers in order. The check at the
    end takes a sample; which rows are wrong with one that it finds, it has to look for, and it has to fail the run."""
    # Else a proof comes before its time where a busy machine takes a moment to ask for the next scenes, and the
    # requests of a batch have other numbers.
    monkeypatch.setattr(pairing, "_GRACE", 1.0)
    out = tmp_path / "d"
    report, _ = run(out, check=12, stale=range(9, 15))  # of the second batch, requests 8 to 15
    bad = wrong(out)
    assert len(bad) == 6
    assert not report.good
    assert report.untrusted.keys() == set(bad)
    assert "6 pictures cannot be trusted" in str(report)
    manifest = open_dataset(out).manifest
    assert manifest.untrusted.keys() == set(bad)
    assert manifest.complete is False

    # Nothing takes it for whole, until they are rendered anew.
    again = generate(SPEC, out, Pug, check=0, progress=False, shard_rows=8)
    assert again.rendered == 0
    assert not again.good
    assert "cannot be trusted" in " ".join(verify(out).problems.values())
    assert CliRunner().invoke(app, ["data", "verify", str(out), "--drop-bad"]).exit_code == DatasetError.exit_code
    healed = generate(SPEC, out, Pug, check=0, progress=False, shard_rows=8)
    assert healed.good
    assert 6 <= healed.rendered <= 16
    assert wrong(out) == []
    assert open_dataset(out).manifest.complete is True
    assert not open_dataset(out).manifest.untrusted


class Pug(MarkerEngine):
    """The same engine by name, without its wire."""

    def catalogue(self) -> Catalogue:
        return Catalogue(engine="pug", fingerprint="pug", complete=False)

    def render(self, scenes: Any, options: Any = None) -> Any:
        for frame in super().render(scenes, options):
            assert isinstance(frame, Frame)
            yield Frame(frame.scene, arrays={"rgb": frame.array()}, format="jpeg", engine="pug")


def test_parts_in_doubt_are_not_joined(tmp_path: Path) -> None:
    out = tmp_path / "d"
    for i in (0, 1):
        generate(SPEC, out, MarkerEngine, progress=False, shard_rows=16, part=(i, 2))
    manifest = out / "_parts" / "1-of-2" / "manifest.json"
    scene_id = parse_spec(SPEC).build()[16].scene_id
    said = {**json.loads(manifest.read_text()), "untrusted": {scene_id: "it shows something else"}, "complete": False}
    manifest.write_text(json.dumps(said))
    with pytest.raises(DatasetError, match="1 pictures that cannot be trusted"):
        join(out)


def test_a_check_says_what_a_stochastic_renderer_differs_by(tmp_path: Path) -> None:
    """Noise is no failure: it is not in the means of blocks of pixels."""
    import numpy as np

    class Noisy(MarkerEngine):
        def render(self, scenes: Any, options: Any = None) -> Any:
            for frame in super().render(scenes, options):
                assert isinstance(frame, Frame)
                rng = np.random.default_rng(len(self.seen))
                self.seen.append(frame.scene)
                noise = rng.normal(0, 8, frame.array().shape)
                yield Frame(frame.scene, arrays={"rgb": np.clip(frame.array() + noise, 0, 255).astype(np.uint8)})

        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Scene] = []

    report = generate(SPEC, tmp_path / "d", Noisy, check=8, progress=False)
    assert report.good
    assert all(value is not None and value > 8 for value in report.checked.values())
