"""Changes in the Fourier domain: identities that hold exactly.

What could silently be wrong: a spectrum of a width that is odd, a sign of the phase, a mask that darkens the picture,
one draw for all channels where each has its own, or values that leave [0, 1] and wrap around.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.errors import ModelError

torch = pytest.importorskip("torch")

from torchmultiverse.train import fourier as f  # noqa: E402


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sides", [(32, 32), (33, 31), (7, 10), (64, 64)])
def test_there_and_back_is_the_same_picture(sides: tuple[int, int]) -> None:
    x = noise(3, *sides)
    back = f.pictures_of(f.spectrum_of(x), sides[1])
    assert back.shape == x.shape
    assert float((back - x).abs().max()) < 4e-7


def test_an_odd_width_is_lost_where_it_is_not_said() -> None:
    x = noise(3, 8, 7)
    assert torch.fft.irfft2(f.spectrum_of(x)).shape[-1] == 6


@pytest.mark.parametrize("sides", [(32, 32), (32, 31)])
def test_a_phase_shift_is_a_cosine_less_a_sine_of_the_hilbert_transform(sides: tuple[int, int]) -> None:
    from scipy.signal import hilbert

    x = noise(3, *sides).double()
    across = torch.from_numpy(np.imag(hilbert(x.numpy(), axis=-1)))
    for angle in (0.4, 0.7, -0.55, 2.0):
        made = f.pictures_of(f.phase_shifted(f.spectrum_of(x), angle), sides[1])
        wanted = np.cos(angle) * x - np.sin(angle) * across
        assert float((made - wanted).abs().max()) < 4e-7
        np.testing.assert_allclose(made.mean(), np.cos(angle) * x.mean(), atol=1e-7)
    assert 0.76 < np.cos(0.7) < np.cos(0.4) < 0.93  # how much a published shift darkens


def test_energy_but_for_the_mean_is_kept_by_a_phase_shift() -> None:
    x = noise(3, 64, 64)
    made = f.pictures_of(f.phase_shifted(f.spectrum_of(x), 0.55), 64)
    kept = float(
        (made - made.mean((1, 2), keepdim=True)).pow(2).sum() / (x - x.mean((1, 2), keepdim=True)).pow(2).sum()
    )
    assert kept == pytest.approx(0.992, abs=0.01)


def test_a_picture_moved_in_a_circle_has_the_same_amplitudes() -> None:
    x = noise(3, 32, 32)
    one, two = f.spectrum_of(x).abs(), f.spectrum_of(x.roll((5, 11), (1, 2))).abs()
    assert float((one - two).abs().max() / one.max()) < 1e-6


def test_one_factor_scales_the_picture_and_edges_take_the_mean_of_two() -> None:
    x = noise(3, 16, 16)
    spectrum = f.spectrum_of(x)
    assert float((f.pictures_of(f.rescaled(spectrum, torch.tensor(1.3)), 16) - 1.3 * x).abs().max()) < 1e-6
    factors = noise(3, 16, 9, seed=1)
    means = factors.clone()
    for edge in (0, 8):
        means[..., edge] = (factors[..., edge] + factors[..., edge].flip(-1).roll(1, -1)) / 2
    one, two = (f.pictures_of(f.rescaled(spectrum, p), 16) for p in (factors, means))
    assert float((one - two).abs().max()) < 4e-7


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_a_mask_takes_out_its_share_and_never_the_mean(share: float) -> None:
    x = noise(3, 32, 32)
    mask = f.random_mask(32, 32, share, torch.Generator().manual_seed(0))
    assert mask[0, 0] == 1
    assert int((mask == 0).sum()) == round(share * (32 * 17 - 1))
    made = f.pictures_of(f.rescaled(f.spectrum_of(x), mask), 32)
    assert float((made.mean((1, 2)) - x.mean((1, 2))).abs().max()) < 1e-7 * 10


def test_a_mixture_is_a_product_of_gaussians_that_take_out_or_pass() -> None:
    centres, spreads = torch.tensor([[4.0, 2.0], [10.0, 6.0]]), torch.tensor([[2.0, 1.0], [1.5, 3.0]])
    u, v = np.mgrid[:16, :9]
    wanted = np.ones((16, 9))
    for (a, b), (s, t) in zip(centres.tolist(), spreads.tolist(), strict=True):
        wanted *= 1 - np.exp(-((u - a) ** 2 / (2 * s**2) + (v - b) ** 2 / (2 * t**2)))
    out = f.mixture_mask(16, 16, centres, spreads, keep_zero=False)
    np.testing.assert_allclose(out, wanted, atol=1e-6)
    np.testing.assert_allclose(f.mixture_mask(16, 16, centres, spreads, True, False), 1 - wanted, atol=1e-6)
    assert f.mixture_mask(16, 16, centres, spreads)[0, 0] == 1


def test_published_mixtures_halve_the_spectrum_and_keep_the_mean_at_any_size() -> None:
    generator = torch.Generator().manual_seed(0)
    for side in (224, 64):
        masks = torch.stack([f.random_mixture(side, side, generator=generator) for _ in range(20)])
        assert float(masks.mean()) == pytest.approx(0.51, abs=0.06)
        assert (masks[:, 0, 0] == 1).all()


def test_phase_and_amplitude_go_where_they_are_sent() -> None:
    one, two = noise(3, 16, 16), noise(3, 16, 16, seed=1)
    assert float((f.swapped(one, one) - one).abs().max()) < 1e-6
    both = f.spectrum_of(f.swapped(one, two))
    assert float((both.abs() - f.spectrum_of(two).abs()).abs().max()) < 1e-4
    apart = torch.polar(torch.ones_like(both.abs()), both.angle() - f.spectrum_of(one).angle())
    assert float((apart.real - 1).abs().max()) < 1e-4


def test_augmentations_are_drawn_and_never_wrap_around() -> None:
    bright = torch.full((3, 32, 32), 250, dtype=torch.uint8)
    bright[:, ::2] = 3
    draw = f.FourierAugmentation(f.FOURIER)
    torch.manual_seed(0)
    made = [draw(bright) for _ in range(200)]
    assert {one.dtype for one in made} == {torch.uint8}
    picture = (noise(3, 16, 16) * 255).to(torch.uint8)
    same = np.mean([torch.equal(draw(picture), picture) for _ in range(300)])
    assert same == pytest.approx(0.8 * 0.8 * 0.5 * 0.8, abs=0.07)  # how often nothing is drawn
    always = f.FourierAugmentation(["amplitude"], {"amplitude": 1.0})
    torch.manual_seed(0)
    grey = always(noise(1, 32, 32).expand(3, -1, -1))
    assert not torch.allclose(grey[0], grey[1])  # each channel has factors of its own
    assert 0 <= float(grey.min()) <= float(grey.max()) <= 1
    shifted = f.FourierAugmentation(["phase"], {"phase": 1.0})
    x = noise(3, 32, 32) * 0.2 + 0.4
    ratio = [float(shifted(x).mean() / x.mean()) for _ in range(50)]
    assert np.cos(0.7) - 0.01 < min(ratio) < max(ratio) < np.cos(0.4) + 0.01
    with pytest.raises(ModelError, match=r"no Fourier augmentation 'phases'.*phase"):
        f.FourierAugmentation(["phases"])
    torch.manual_seed(7)
    one = draw(bright)
    torch.manual_seed(7)
    assert torch.equal(one, draw(bright))
