"""The planner. Silently wrong would be a design that misses the drop it promises to find, or is far too large."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.errors import SpecError
from torchmultiverse.farm.power import size, smallest
from torchmultiverse.scenes import load_spec, parse_spec
from torchmultiverse.stats.power import PowerQuestion, detectable_drop, pairs_needed

SPEC = {
    "World_Name": [f"W{k}" for k in range(16)],
    "Character_Name": [f"C{k}" for k in range(20)],
    "Camera_Yaw": [0, 45, 225, 315],
    "Character_Texture": ["Default", "Grass", "Sky"],
}


@pytest.mark.parametrize("psi", [None, 0.12])
def test_the_promised_power_is_reached_in_simulation(psi: float | None) -> None:
    rng = np.random.default_rng(0)
    question = PowerQuestion("Character_Texture", 0.05, discordance=psi)
    n = pairs_needed(question)
    share = question.expected_discordance
    worse, better = (share + 0.05) / 2, (share - 0.05) / 2  # right then wrong, wrong then right
    lost, won = rng.multinomial(n, [worse, better, 1 - share], 20_000)[:, :2].T
    z = (lost - won) / np.sqrt(np.maximum(lost + won, 1))
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.015)


def test_the_promised_power_of_an_interaction() -> None:
    rng = np.random.default_rng(1)
    question = PowerQuestion("Character_Texture", 0.05, by="World_Name", discordance=0.2)
    n = pairs_needed(question)
    probabilities = np.array([[0.125, 0.075], [0.1, 0.1]])  # a drop of 0.05 at one level, of 0 at the other
    drops, variances = [], []
    for lose, win in probabilities:
        lost, won = rng.multinomial(n, [lose, win, 1 - lose - win], 20_000)[:, :2].T / n
        drops.append(lost - won)
        variances.append((lost + won - (lost - won) ** 2) / n)
    z = (drops[0] - drops[1]) / np.sqrt(variances[0] + variances[1])
    assert np.mean(z > 1.96) == pytest.approx(0.8, abs=0.02)


def test_known_values() -> None:
    # By hand: psi 0.2, delta 0.1: (1.95996 * 0.447214 + 0.841621 * 0.435890)^2 / 0.01 = 154.05…
    assert pairs_needed(PowerQuestion("x", 0.1, discordance=0.2)) == 155
    question = PowerQuestion("x", 0.07, discordance=0.2)
    assert detectable_drop(question, pairs_needed(question)) == pytest.approx(0.07, rel=0.01)
    assert detectable_drop(question, 1) == 1


def test_the_smallest_design_is_balanced_and_paired() -> None:
    design = parse_spec(SPEC).build()
    question = PowerQuestion("Character_Texture", 0.06, discordance=0.15)
    answer = size(design, question)
    assert answer.sufficient
    assert answer.available == 16 * 20 * 4
    made = smallest(design, question, np.random.default_rng(3))
    assert made.count == answer.images == 3 * answer.contexts
    rows = [made.values(i) for i in range(made.count)]
    assert len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows)
    settings = Counter(tuple(v for k, v in row.items() if k != "Character_Texture") for row in rows)
    assert set(settings.values()) == {3}, "every setting has every texture"
    for name in ("World_Name", "Character_Name", "Camera_Yaw"):
        counts = Counter(row[name] for row in rows)
        assert len(counts) == len(SPEC[name])
        assert max(counts.values()) - min(counts.values()) <= 3 * 3, "three settings at most"
    again = smallest(design, question, np.random.default_rng(3))
    assert [again.values(i) for i in range(again.count)] == rows


def test_where_the_design_is_too_small_it_says_what_it_can_show() -> None:
    design = parse_spec(SPEC).build()
    answer = size(design, PowerQuestion("Character_Texture", 0.01, by="World_Name"))
    assert not answer.sufficient
    assert answer.images == design.count
    assert answer.detectable > 0.05
    for question, message in (
        (PowerQuestion("Camera_Pitch", 0.1), "does not vary"),
        (PowerQuestion("Camera_Yaw", 0.1, by="Camera_Yaw"), "change together"),
    ):
        with pytest.raises(SpecError, match=message):
            size(design, question)
    with pytest.raises(SpecError, match="drop"):
        PowerQuestion("x", 1.5)


def test_the_command_says_the_cost_and_writes_the_spec(tmp_path: Path) -> None:
    factors = {"World_Name": ["Desert", "Snow", "Forest", "Museum"], "Character_Name": ["Elephant", "Zebra", "Lion"],
               "Camera_Yaw": list(range(0, 360, 5)), "Character_Texture": ["Default", "Grass"]}  # fmt: skip
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(factors))
    small = tmp_path / "small.json"
    done = CliRunner().invoke(
        app,
        [
            "eval",
            "power",
            str(spec),
            "--factor",
            "Character_Texture",
            "--detect",
            "8",
            "--engine",
            "marker",
            "--out",
            str(small),
        ],
    )
    assert done.exit_code == 0, done.output
    planned = load_spec(small).build()
    assert f"{planned.count:,} pictures" in done.output
    assert planned.count < 4 * 3 * 72 * 2
    assert "8 points" in done.output
