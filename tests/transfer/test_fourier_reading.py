"""What is read from phases and amplitudes, by readers that see one half alone: known exactly.

What could silently be wrong: halves that are exchanged, pairs that do not differ in the factor, a probe that learnt
from the pictures it is asked about, chance of a reader that always says the same, or a change outside its band.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from PIL import Image  # noqa: E402

from torchmultiverse.analyze import RunOptions  # noqa: E402
from torchmultiverse.errors import ModelError  # noqa: E402
from torchmultiverse.models import as_model  # noqa: E402
from torchmultiverse.store import ImageList, columns_of  # noqa: E402
from torchmultiverse.train import fourier  # noqa: E402
from torchmultiverse.transfer import FourierChange, FourierOptions, fourier_study, read_spectra  # noqa: E402
from torchmultiverse.transfer.fourier_images import changed_images, swapped_images  # noqa: E402
from torchmultiverse.transfer.fourier_page import headline, published  # noqa: E402
from torchmultiverse.transfer.fourier_reading import FourierReading, Sensitivity, Share, draw_pairs, swap_of  # noqa: E402
from torchmultiverse.transfer.tasks import task_of  # noqa: E402

SIDE = 16


def world(each: int = 10) -> ImageList:
    """Stripes of three widths (their amplitudes) whose first edge is at one of three places (their phases)."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    across = np.arange(SIDE)
    for stripes in range(3):
        for place in range(3):
            for _ in range(each):
                wave = np.cos(2 * np.pi * (stripes + 1) * across / SIDE - 2 * np.pi * place / 3)
                pixels = 128 + 60 * wave[None, :, None] + rng.normal(size=(SIDE, SIDE, 1)) * 2
                images.append(Image.fromarray(np.repeat(pixels.clip(0, 255), 3, 2).astype(np.uint8)))
                rows.append({"stripes": f"width {stripes}", "place": f"place {place}"})
    return ImageList(images, rows, name="stripes")


class Half:
    """Sees the amplitudes of the three lowest frequencies of the mean row; or their phases, wherever they are."""

    def __init__(self, half: str) -> None:
        self.half = half

    def encode_image(self, images: Any) -> Any:
        rows = np.stack([np.asarray(image) for image in images]).astype(np.float64).mean((1, 3)) / 255
        spectrum = np.fft.rfft(rows, axis=1)[:, 1:4]
        if self.half == "amplitude":
            return np.abs(spectrum).astype(np.float32)
        angle = np.angle(spectrum)
        return np.concatenate([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def model(half: str) -> Any:
    return as_model(Half(half), name=half)


def asked(**more: Any) -> FourierOptions:
    return FourierOptions(**{"pairs": 60, "pictures": 60, "changes": (), **more})


def test_a_reader_of_amplitudes_follows_the_amplitude() -> None:
    found = read_spectra(model("amplitude"), world(), asked(factors=["stripes"]), RunOptions(quiet=True))
    swap = found.swaps[0]
    assert swap.clean.value == 1
    assert swap.shares["amplitude"].value > 0.95
    assert swap.shares["phase"].value < 0.05
    assert swap.follows == "amplitude"
    assert swap.chance["phase"] == pytest.approx(1 / 3, abs=0.1)
    assert swap.chance["phase"] + swap.chance["amplitude"] + swap.chance["neither"] == pytest.approx(1)
    assert headline(found.swaps).startswith("Stripes (")
    assert headline(found.swaps).endswith("follows the amplitude.")
    sheet = fourier_study(found)
    assert len(sheet.sections[0].pictures) == 2
    assert [section.reference for section in sheet.sections] == [False, True, True]


def test_a_reader_of_phases_follows_the_phase() -> None:
    """Of one width of stripes only: the phase of a frequency that is not there says nothing."""
    data = world(30)
    columns = columns_of(data)
    rows = np.flatnonzero(columns["stripes"].astype(str) == "width 1")
    one = ImageList([data.image(int(r)) for r in rows], [{"place": str(columns["place"][r])} for r in rows])
    found = read_spectra(model("phase"), one, asked(), RunOptions(quiet=True))
    swap = found.swaps[0]
    assert swap.shares["phase"].value > 0.95
    assert swap.follows == "phase"


def test_shares_are_of_what_was_said() -> None:
    columns = {"colour": np.array(["red", "green", "blue"] * 20, object), "id": np.arange(60)}
    task = task_of(columns, "colour", np.arange(60), np.random.default_rng(0), "rows")
    phase, amplitude = draw_pairs(task.codes, np.arange(60), 60, np.random.default_rng(1))
    assert (task.codes[phase] != task.codes[amplitude]).all()
    assert sorted(phase.tolist()) == list(range(60))
    said = task.codes[phase].copy()
    said[:15] = task.codes[amplitude[:15]]
    said[15:21] = 3 - task.codes[phase[15:21]] - task.codes[amplitude[15:21]]  # the third colour
    swap = swap_of(task, phase, amplitude, said, task.codes[phase])
    assert [round(swap.shares[name].value, 3) for name in ("phase", "amplitude", "neither")] == [0.65, 0.25, 0.1]
    assert swap.difference.mean == pytest.approx(0.4)
    assert swap.shares["phase"].low < 0.65 < swap.shares["phase"].high
    same = swap_of(task, phase, amplitude, np.zeros(60, np.int64), task.codes[phase])  # always says the same
    assert same.shares["phase"].value == pytest.approx(same.chance["phase"]) == pytest.approx(1 / 3)
    assert same.follows == ""


def test_a_change_stays_in_its_band_and_nothing_changes_nothing() -> None:
    data = world(2)
    pixels = np.stack([np.asarray(image) for image in data.iter_images()])
    x = torch.from_numpy(pixels[0]).permute(2, 0, 1).float() / 255 * 0.4 + 0.3  # far from 0 and 1: nothing is cut
    low = fourier.frequencies(SIDE, SIDE) <= 0.125
    for name, strength in (("amplitude", 0.5), ("phase", 0.3), ("frequency", 0.5), ("mixture", 5)):
        for band, inside in (("low", low), ("high", ~low)):
            made = FourierChange(name, strength, band)(x, torch.Generator().manual_seed(0))
            apart = (fourier.spectrum_of(made) - fourier.spectrum_of(x)).abs()
            assert float(apart[:, ~inside].max()) < 1e-3
            assert float(apart[:, inside].max()) > 1e-2
    rows = np.array([3, 5])
    same = changed_images(data, pixels, rows, FourierChange("phase", 0.0))
    np.testing.assert_array_equal(np.asarray(same.image(1)), pixels[5])
    assert same.table()["stripes"].to_pylist() == [data.table()["stripes"].to_pylist()[r] for r in rows]
    one = changed_images(data, pixels, rows, FourierChange("amplitude", 1.0))
    other = changed_images(data, pixels, rows[::-1].copy(), FourierChange("amplitude", 1.0))
    np.testing.assert_array_equal(np.asarray(one.image(0)), np.asarray(other.image(1)))  # draws are of the row
    mixed = np.asarray(swapped_images(data, pixels, rows, rows).image(0)).astype(int)
    assert np.abs(mixed - pixels[3]).max() <= 1
    with pytest.raises(ModelError, match=r"no Fourier change 'phases'.*phase"):
        FourierChange("phases", 1)
    with pytest.raises(ModelError, match=r"no band 'middle'"):
        FourierChange("phase", 1, "middle")


def test_what_is_read_falls_with_strength_where_it_is_needed() -> None:
    options = asked(factors=["stripes"], changes=("frequency",), pictures=90, cut=0.2)
    found = read_spectra(model("amplitude"), world(), options, RunOptions(quiet=True))
    by = {(one.band, one.strength): one.accuracy.value for one in found.sensitivities}
    assert by["all", 0.0] == 1
    assert by["low", 0.9] < 0.7  # widths are of one to three stripes: low frequencies
    assert by["high", 0.9] > 0.95
    study = fourier_study(found)
    assert [chart.kind for chart in study.sections[1].charts] == ["line", "heatmap"]
    assert [line["band"] for line in study.sections[1].table] == ["all", "low", "high"]
    assert study.sections[1].table[1]["step 4 %"] == by["low", 0.9]


def test_what_cannot_be_asked_is_said() -> None:
    with pytest.raises(ModelError, match=r"no reader 'text'.*texts"):
        read_spectra(model("phase"), world(2), asked(reader="text"), RunOptions(quiet=True))
    with pytest.raises(ModelError, match="'phase' knows no texts"):
        read_spectra(model("phase"), world(2), asked(reader="texts"), RunOptions(quiet=True))


def test_published_gains_are_between_four_tenths_and_one_and_a_third() -> None:
    gains = [row["fourier"] - row["base"] for row in published()["pretraining"]]
    assert min(gains) == pytest.approx(0.4)
    assert max(gains) == pytest.approx(1.3)


def test_why_fewer_pictures_are_asked_about_than_changed_is_said() -> None:
    """24 pictures were asked for, and n was 16 and 11 without a word."""
    share = Share(0.5, 0.2, 0.8)
    lines = tuple(Sensitivity(name, "phase", "all", 0.0, share, 0.5, n, n) for name, n in (("a", 16), ("b", 11)))
    found = FourierReading("m", "d", (), lines, (), (), {"pictures changed": 24, "cut": 0.1})
    (note,) = (one for one in fourier_study(found, reference=False).notes if one.startswith("24 pictures are changed"))
    assert "did not learn from, 11 to 16 by factor (n)" in note
