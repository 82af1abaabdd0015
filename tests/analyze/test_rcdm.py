"""Pictures of vectors: what a vector holds must be the same in all of them, what it does not hold must vary.

What could silently be wrong: a decoder that ignores its condition, noise of which two pictures share a part, a bound
that trains the mean, or ranks that favour the first candidate.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import torchmultiverse.train.decoder as decoder_training
from torchmultiverse.analyze import decoders
from torchmultiverse.analyze.fidelity import (
    factor_fidelity,
    frechet_distance,
    inception_score,
    measure_fidelity,
    variance_ratio,
)
from torchmultiverse.analyze.rcdm import ddim_step, enlarge, interpolate, respaced, sample
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import diffusion
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.diffusion import Decoder, decoder_loss, decoder_preset, load_decoder
from torchmultiverse.store import ImageFolder, ImageList
from torchmultiverse.train import DiffusionTraining, train_decoder

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "trends"))

from toys import SIDE, seen, squares  # noqa: E402


def trained(folder: Path, conditioning: Any, steps: int, batch: int = 32) -> Decoder:
    pixels, colours, _ = squares(4000)
    config = decoder_preset("tiny", SIDE, 3, conditioning=conditioning)
    training = DiffusionTraining(steps=steps, batch_size=batch, learning_rate=4e-3, ema=0.99)
    train_decoder(pixels, colours, config, folder, training, quiet=True)
    return load_decoder(folder)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("conditioning", ["add_emb", "cond_bn"])
def test_what_the_vector_holds_is_kept_and_the_rest_varies(tmp_path: Path, conditioning: str) -> None:
    """Vectors of the colour alone: all pictures of one vector have its colour, at any place."""
    # Batch statistics are noisier: after more steps of larger batches the colour is still less sure.
    decoder = trained(tmp_path, conditioning, *((1600, 32) if conditioning == "add_emb" else (1600, 64)))
    _, colours, _ = squares(300, seed=1)
    drawn = sample(decoder, colours[:20], 8, 50, quiet=True)
    rows = np.repeat(np.arange(20), 8)
    colour, place = seen(drawn.reshape(-1, SIDE, SIDE, 3))
    assert variance_ratio(colour, rows) < (0.25 if conditioning == "add_emb" else 0.6)
    assert variance_ratio(place, rows) > 0.8
    ranks = measure_fidelity(colours, colour.astype(np.float32), rows)
    assert ranks.mrr > 5 * ranks.null_mrr
    # Classifiers of both factors say so: the colour of the vector's picture is seen, its place is not.
    real, codes, _ = squares(600, seed=2)
    x = np.concatenate(seen(real), 1).astype(np.float32)
    found = {
        one.factor: one
        for one in factor_fidelity(
            np.concatenate([x, np.concatenate(seen(squares(20, seed=1)[0]), 1).astype(np.float32)]),
            {
                "colour": np.concatenate([codes[:, 0] > 0, squares(20, seed=1)[1][:, 0] > 0]).astype(np.int64),
                "place": np.concatenate([x[:, 3] > 3, seen(squares(20, seed=1)[0])[1][:, 0] > 3]).astype(np.int64),
            },
            np.concatenate([colour, place], 1).astype(np.float32), rows + 600,
        )
    }  # fmt: skip
    assert found["colour"].low > found["colour"].chance
    assert found["colour"].retained > (0.6 if conditioning == "add_emb" else 0.2)
    assert found["place"].low <= found["place"].chance
    # With the vectors exchanged the pictures are those of others.
    other = measure_fidelity(colours, colour.astype(np.float32), (rows + 7) % 20)
    assert other.mrr < ranks.mrr / 2


def test_a_decoder_without_a_condition_ignores_it(tmp_path: Path) -> None:
    decoder = trained(tmp_path, "none", 20)
    _, colours, _ = squares(4, seed=1)
    drawn = sample(decoder, colours, 2, 5, seed=3, same_noise=True, quiet=True)
    assert np.abs(drawn[0].astype(int) - drawn[3]).max() <= 1  # of rounding


def test_a_continued_run_is_the_run_that_was_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, colours, _ = squares(200)
    config = decoder_preset("tiny", SIDE, 3)
    training = DiffusionTraining(steps=9, batch_size=16, every=3)
    train_decoder(pixels, colours, config, tmp_path / "whole", training, quiet=True)
    calls, original = 0, decoder_training.decoder_loss

    def stopping(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(decoder_training, "decoder_loss", stopping)
    with pytest.raises(KeyboardInterrupt):
        train_decoder(pixels, colours, config, tmp_path / "cut", training, quiet=True)
    with pytest.raises(ModelError, match="holds no decoder"):
        load_decoder(tmp_path / "cut")
    running = tmp_path / "cut" / diffusion.DECODER_STATE
    sound = running.read_bytes()
    running.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(ModelError, match="delete it to train from the beginning"):
        train_decoder(pixels, colours, config, tmp_path / "cut", training, quiet=True)
    running.write_bytes(sound)
    held = torch.load(running, weights_only=True)
    old = {"weights": held["modules"]["decoder"], "average": held["average"]["decoder"], "steps": held["step"]}
    torch.save({**old, "optimizer": held["optimizer"]}, running)  # as before there was one loop: its runs go on
    train_decoder(pixels, colours, config, tmp_path / "cut", training, quiet=True)
    one, two = (load_decoder(tmp_path / name).module.state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(DatasetError, match="trained otherwise"):
        train_decoder(pixels, colours, config, tmp_path / "cut", training.changed(steps=12), quiet=True)


def test_pictures_depend_on_seed_vector_and_number_alone(tmp_path: Path) -> None:
    decoder = trained(tmp_path, "add_emb", 20)
    _, colours, _ = squares(5, seed=1)
    for sampler in ("ddim", "ddpm"):
        whole = sample(decoder, colours, 2, 6, sampler, seed=4, quiet=True)
        parts = sample(decoder, colours, 2, 6, sampler, seed=4, batch_size=3, quiet=True)
        assert np.abs(whole.astype(int) - parts).max() <= 1  # of rounding
        assert (whole[:, 0] != whole[:, 1]).any()
        assert (whole != sample(decoder, colours, 2, 6, sampler, seed=5, quiet=True)).any()
    with pytest.raises(ModelError, match=r"no sampler 'ddip'.*ddim"):
        sample(decoder, colours, 1, 5, "ddip")
    with pytest.raises(ModelError, match=r"takes \(N, 3\)"):
        sample(decoder, colours[:, :2])
    ends = interpolate(colours[0], colours[1], 5)
    np.testing.assert_allclose(ends[[0, 4]], colours[:2])


def test_the_schedule_and_both_terms_of_the_loss_are_those_of_the_equations() -> None:
    decoder = Decoder(decoder_preset("tiny", SIDE, 3, learn_sigma=True))
    alphas = decoder.scheduler.alphas_cumprod.double()
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(alphas, torch.cumprod(1 - betas, 0), atol=1e-7, rtol=1e-6)
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(4, 3, SIDE, SIDE, generator=generator) * 2 - 1
    noise = torch.randn(4, 3, SIDE, SIDE, generator=generator)
    steps = torch.tensor([1, 200, 600, 999])
    noisy = decoder.scheduler.add_noise(clean, noise, steps)
    mean, log = diffusion._posterior(decoder, clean, noisy, steps)
    for k, t in enumerate(steps.tolist()):
        now, before, beta = alphas[t], alphas[t - 1], betas[t]
        wanted = before.sqrt() * beta / (1 - now) * clean[k] + (1 - beta).sqrt() * (1 - before) / (1 - now) * noisy[k]
        torch.testing.assert_close(mean[k].double(), wanted.double(), atol=2e-4, rtol=1e-3)
        assert log[k].item() == pytest.approx(float(torch.log(beta * (1 - before) / (1 - now))), abs=1e-3)
    # The true noise gives the posterior's mean; the place of the variance runs from the posterior's to the forward's.
    for place, share in ((-1.0, 0.0), (1.0, 1.0)):
        found, spread = diffusion._reverse(decoder, noisy, noise, torch.full_like(noise, place), steps)
        torch.testing.assert_close(found, mean, atol=2e-3, rtol=1e-3)
        forward = torch.log(betas[steps]).float()
        least = log.flatten()
        torch.testing.assert_close(spread[:, 0, 0, 0], share * forward + (1 - share) * least, atol=1e-3, rtol=1e-3)
    # The bound has no gradient to the mean, and none of the mean's error to the variance is lost.
    value = decoder_loss(decoder, clean, torch.zeros(4, 3), steps, noise)
    value.backward()
    out = decoder.unet.conv_out
    assert out.weight.grad[3:].abs().sum() > 0
    said = decoder.predict(noisy, steps, torch.zeros(4, 3))[:, :3]
    simple = torch.nn.functional.mse_loss(said, noise)
    (wanted,) = torch.autograd.grad(simple, [out.weight])
    torch.testing.assert_close(out.weight.grad[:3], wanted[:3], atol=1e-5, rtol=1e-3)


def test_ranks_have_their_closed_forms() -> None:
    rng = np.random.default_rng(0)
    held = rng.normal(size=(1000, 64)).astype(np.float32)
    rows = np.arange(1000)
    same = measure_fidelity(held, held, rows)
    assert (same.mean_rank, same.mrr, same.hit1) == (1, 1, 1)
    assert same.null_rank == 500.5
    assert same.null_mrr == pytest.approx(0.00749, abs=1e-5)
    lost = measure_fidelity(held, rng.normal(size=(1000, 64)).astype(np.float32), rows)
    assert lost.mean_rank == pytest.approx(500.5, abs=40)
    assert "draw no conclusions" in lost.summary
    moved = [measure_fidelity(held, held + s * rng.normal(size=held.shape).astype("f4"), rows) for s in (1, 1.5, 2, 4)]
    scores = [one.mrr for one in moved]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([1.0, 0.965, 0.78, 0.21], abs=0.03)
    assert moved[0].mean_rank == pytest.approx(1.0, abs=0.01)
    assert moved[1].mean_rank == pytest.approx(1.19, abs=0.15)
    assert moved[2].mean_rank == pytest.approx(4.5, abs=1.5)
    assert moved[3].mean_rank == pytest.approx(81, abs=15)
    # Fifty of a class share a vector, but for a little: the class is found, and nothing more.
    centres = 20 * rng.normal(size=(20, 16))
    classes = np.repeat(np.arange(20), 50)
    held = (centres[classes] + rng.normal(size=(1000, 16))).astype(np.float32)
    drawn = (centres[classes] + rng.normal(size=(1000, 16))).astype(np.float32)
    found = measure_fidelity(held, drawn, rows)
    assert found.mean_rank == pytest.approx(25.5, abs=1.5)
    assert found.mrr == pytest.approx(0.09, abs=0.02)


def test_distances_of_pictures_have_their_closed_forms() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(40_000, 3)) @ np.diag([1, 2, 3])
    two = rng.normal(size=(40_000, 3)) @ np.diag([2, 2, 1]) + [1, 0, -2]
    assert frechet_distance(one.astype("f4"), two.astype("f4")) == pytest.approx(5 + 1 + 0 + 4, rel=0.05)
    assert frechet_distance(one.astype("f4"), one.astype("f4")) == pytest.approx(0, abs=1e-3)
    assert inception_score(np.tile(np.eye(5), (40, 1)).astype("f4"))[0] == pytest.approx(5)
    assert inception_score(np.full((200, 5), 0.2, np.float32))[0] == pytest.approx(1)


def test_factors_that_pictures_keep_are_told_from_those_they_lose() -> None:
    """Pictures that keep the world of their vector and draw any texture: the score says so."""
    rng = np.random.default_rng(0)
    worlds, textures = rng.integers(0, 5, 2000), rng.integers(0, 4, 2000)
    a, b = rng.normal(size=(5, 16)), rng.normal(size=(4, 16))

    def look(world: NDArray[np.int64], texture: NDArray[np.int64]) -> NDArray[Any]:
        return (a[world] + b[texture] + 0.3 * rng.normal(size=(len(world), 16))).astype(np.float32)

    rows = np.repeat(np.arange(100), 8)
    drawn = look(worlds[rows], rng.integers(0, 4, 800))
    found = {
        k.factor: k
        for k in factor_fidelity(look(worlds, textures), {"world": worlds, "texture": textures}, drawn, rows)
    }
    assert found["world"].low > 0.9
    assert found["world"].retained > 0.9
    assert found["texture"].low <= 0.3
    assert abs(found["texture"].retained) < 0.15
    assert min(one.real_accuracy for one in found.values()) > 0.95
    # Real pictures and chance are those of the pictures that were drawn from, each once.
    for name, levels in (("world", worlds), ("texture", textures)):
        assert found[name].chance == np.bincount(levels[:100]).max() / 100
        assert found[name].images == 100
        assert (100 * found[name].real_accuracy) % 1 == pytest.approx(0, abs=1e-9)


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be halved"):
        Decoder(decoder_preset("tiny", 10, 3))
    with pytest.raises(ModelError, match=r"no conditioning 'add'.*add_emb"):
        Decoder(decoder_preset("tiny", SIDE, 3, conditioning="add"))
    with pytest.raises(ModelError, match=r"no preset 'tny'.*tiny"):
        decoder_preset("tny", SIDE, 3)
    pixels, colours, _ = squares(5)
    with pytest.raises(DatasetError, match="do not fit a decoder"):
        train_decoder(pixels, colours[:, :2], decoder_preset("tiny", SIDE, 3), tmp_path)
    with pytest.raises(DatasetError, match="no pictures to rank"):
        measure_fidelity(colours, colours[:0], np.zeros(0, np.int64))


def test_a_decoder_of_32_pixels_learns_on_two_cores(tmp_path: Path) -> None:
    """A smoke run at a useful size: what the loss was on a fixed batch it is no longer, and pictures come out."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (64, 3))
    pixels = np.broadcast_to(colours[:, None, None], (64, 32, 32, 3)).astype(np.uint8)
    vectors = (colours / 255).astype(np.float32)
    config = decoder_preset("small", 32, 3, channels=16, groups=8)
    noise = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    clean = torch.from_numpy(pixels[:16].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    steps = torch.arange(16) * 60

    def loss(decoder: Decoder) -> float:
        with torch.no_grad():
            noisy = decoder.scheduler.add_noise(clean, noise, steps)
            said = decoder.predict(noisy, steps, torch.from_numpy(vectors[:16]))[:, :3]
            return float(torch.nn.functional.mse_loss(said, noise))

    train_decoder(
        pixels,
        vectors,
        config,
        tmp_path,
        DiffusionTraining(steps=30, batch_size=16, learning_rate=2e-3, ema=0.9),
        quiet=True,
    )
    decoder = load_decoder(tmp_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = loss(Decoder(config, vectors.mean(0), vectors.std(0)))
    assert loss(decoder) < before / 2
    assert sample(decoder, vectors[:2], 2, 3, quiet=True).shape == (2, 2, 32, 32, 3)


def test_vectors_of_mirrored_pictures_are_those_of_the_mirrored_pictures(tmp_path: Path) -> None:
    """Kept features go by a picture's bytes: a mirrored picture must not be served those of the picture."""
    pixels, _, _ = squares(6)
    data = ImageList([Image.fromarray(one) for one in pixels], [{"label": "a"}] * 6)
    mirrored = decoders._Mirrored(data)
    for k, image in enumerate(mirrored.iter_images([4, 1])):
        np.testing.assert_array_equal(np.asarray(image), pixels[(4, 1)[k], :, ::-1])
    Image.fromarray(pixels[3]).save(tmp_path / "3.png")
    files = ImageFolder(tmp_path)
    assert decoders._Mirrored(files).image_bytes(0) != files.image_bytes(0)


def test_samplers_take_the_steps_of_the_source() -> None:
    assert respaced(50, "ddim") == list(range(980, -1, -20))
    assert respaced(334, "ddim") == list(range(999, -1, -3))
    for steps, sampler in ((300, "ddim"), (7, "ddim"), (100, "ddpm"), (250, "ddpm"), (999, "ddpm"), (2, "ddpm")):
        times = respaced(steps, sampler)
        assert (len(set(times)), times[0], times[-1]) == (steps, 999, 0)
        assert max(abs(a - b - 999 / (steps - 1)) for a, b in itertools.pairwise(times)) < 1
    assert respaced(1000, "ddpm") == respaced(1000, "ddim") == list(range(999, -1, -1))
    assert respaced(1, "ddim") == respaced(1, "ddpm") == [999]


class Planted:
    """In the place of a decoder's network: predicts noise that puts clean pictures out of their range."""

    def __init__(self, learnt: bool) -> None:
        self.decoder = Decoder(decoder_preset("tiny", SIDE, 3, learn_sigma=learnt))
        self.asked: list[int] = []
        self.decoder.predict = self.predict  # type: ignore[method-assign]

    def predict(self, noisy: torch.Tensor, steps: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        self.asked.append(int(steps[0]))
        said = torch.sin(3 * noisy) - 0.8 * noisy
        return torch.cat([said, torch.cos(noisy)], 1) if self.decoder.config.learn_sigma else said


def test_a_deterministic_chain_goes_on_from_the_clipped_picture() -> None:
    """Clipping the picture and keeping the unclipped noise would draw others, in no way that one would see."""
    import diffusers

    planted = Planted(False)
    drawn = sample(planted.decoder, np.zeros((1, 3), np.float32), 1, 50, "ddim", seed=3, quiet=True)[0, 0]
    config = planted.decoder.scheduler.config
    results = []
    for clipped in (True, False):
        scheduler = diffusers.DDIMScheduler.from_config(config, set_alpha_to_one=True)
        scheduler.set_timesteps(50)
        generator = torch.Generator().manual_seed(tools.seed_of(3, 0, 0))
        noisy = torch.randn(3, SIDE, SIDE, generator=generator)[None]
        for time in scheduler.timesteps:
            said = planted.predict(noisy, time[None], torch.zeros(1, 3))
            noisy = scheduler.step(said, time, noisy, use_clipped_model_output=clipped).prev_sample
        results.append(((noisy[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy())
    assert np.abs(drawn - results[0]).max() <= 1
    assert np.abs(drawn - results[1]).max() > 5
    assert planted.asked[:50] == respaced(50, "ddim")


def test_every_step_of_a_deterministic_chain_is_the_published_one() -> None:
    """Song et al., eq. 12 with σ = 0, in doubles: each of 50 steps to 1e-5, and the same from the same first noise."""
    planted = Planted(False)
    every = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    times = respaced(50, "ddim")
    alphas = planted.decoder.alphas
    generator = torch.Generator().manual_seed(0)
    clipped = 0
    for time, before in zip(times, [*times[1:], None], strict=True):
        x = torch.randn(2, 3, SIDE, SIDE, generator=generator)
        said = planted.predict(x, torch.tensor([time, time]), torch.zeros(2, 3))
        given = float(alphas[time]), 1.0 if before is None else float(alphas[before])
        found = ddim_step(said, *given, x).double().numpy()
        now, then = every[time], 1.0 if before is None else every[before]
        doubles, noise = x.double().numpy(), said.double().numpy()
        free = (doubles - np.sqrt(1 - now) * noise) / np.sqrt(now)
        clean = np.clip(free, -1, 1)
        clipped += int((free != clean).sum())
        noise = (doubles - np.sqrt(now) * clean) / np.sqrt(1 - now)  # what leads from the clipped picture to x
        np.testing.assert_allclose(found, np.sqrt(then) * clean + np.sqrt(1 - then) * noise, atol=1e-5, rtol=0)
    assert clipped > 1000, "pictures that leave their range are among them"
    one, two = (
        sample(planted.decoder, np.zeros((2, 3), np.float32), 1, 50, "ddim", seed=3, quiet=True) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


def test_noise_is_added_with_the_variance_of_the_schedule() -> None:
    """x_t = √ᾱ x_0 + √(1 − ᾱ) ε: mean and variance over many draws."""
    scheduler = Decoder(decoder_preset("tiny", SIDE, 3)).scheduler
    every = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    for time in (0, 250, 999):
        found = scheduler.add_noise(torch.full_like(noise, 0.7), noise, torch.full((len(noise),), time)).double()
        assert float(found.mean()) == pytest.approx(0.7 * np.sqrt(every[time]), abs=0.02)
        assert float(found.var()) == pytest.approx(1 - every[time], rel=0.03)


def test_respaced_betas_keep_the_noise_of_the_steps_that_are_left() -> None:
    """β′ = 1 − ᾱ_i / ᾱ_(i−1) of the steps kept: their products are ᾱ of these; all 1,000 steps are β itself."""
    betas = np.linspace(1e-4, 0.02, 1000)
    every = np.cumprod(1 - betas)
    for steps in (7, 100, 250, 1000):
        kept = every[respaced(steps, "ddpm")[::-1]]
        fewer = 1 - kept / np.concatenate([[1], kept[:-1]])
        np.testing.assert_allclose(np.cumprod(1 - fewer), kept, rtol=1e-10)
        if steps == 1000:
            np.testing.assert_allclose(fewer, betas, atol=1e-12)


def test_a_decoder_that_enlarges_is_given_the_small_picture(tmp_path: Path) -> None:
    """The small picture reaches the network, the vector too; what is missing or does not fit is refused."""
    pixels, colours, _ = squares(40)
    config = decoder_preset("tiny", SIDE, 3, enlarges=4)
    train_decoder(pixels, colours, config, tmp_path, DiffusionTraining(steps=3, batch_size=8, every=2), quiet=True)
    decoder = load_decoder(tmp_path)
    small = pixels[:2].reshape(2, 4, 2, 4, 2, 3).mean((2, 4)).astype(np.uint8)
    torch.manual_seed(0)
    for parameter in decoder.module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)

    def draw(vectors: NDArray[Any], given: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return enlarge(decoder, vectors, given[:, None].repeat(2, 1), 3, quiet=True)

    drawn = draw(colours[:2], small)
    assert drawn.shape == (2, 2, SIDE, SIDE, 3)
    assert (drawn != draw(colours[:2], 255 - small)).any()
    assert (drawn != draw(-colours[:2], small)).any()
    with pytest.raises(ModelError, match=r"small pictures: none; this decoder takes \(N, 4, 4, 3\)"):
        sample(decoder, colours[:2], 1, 3, quiet=True)
    plain = Decoder(decoder_preset("tiny", SIDE, 3))
    with pytest.raises(ModelError, match=r"of shape \(2, 4, 4, 3\); this decoder takes none"):
        sample(plain, colours[:2], 1, 3, quiet=True, small=small)
    with pytest.raises(ModelError, match="8 pixels cannot be enlarged to 8; 4 to 7 can"):
        Decoder(decoder_preset("tiny", SIDE, 3, enlarges=8))
    with pytest.raises(ModelError, match="enlarges pictures of 4 pixels that another decoder draws"):
        decoders.load_conditioned_decoder(tmp_path, ImageList([Image.fromarray(pixels[0])], [{"label": "a"}]))


@pytest.mark.parametrize("learnt", [False, True])
def test_an_ancestral_chain_is_that_of_respaced_betas(learnt: bool) -> None:
    planted = Planted(learnt)
    drawn = sample(planted.decoder, np.zeros((1, 3), np.float32), 1, 7, "ddpm", seed=3, quiet=True)[0, 0]
    assert planted.asked == respaced(7, "ddpm") == [999, 832, 666, 500, 333, 166, 0]
    every = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    kept = every[planted.asked[::-1]]
    betas = 1 - kept / np.concatenate([[1], kept[:-1]])
    products = np.cumprod(1 - betas)
    generator = torch.Generator().manual_seed(tools.seed_of(3, 0, 0))
    x = torch.randn(3, SIDE, SIDE, generator=generator).double().numpy()
    for k in reversed(range(7)):
        before = products[k - 1] if k else 1.0
        said = planted.predict(torch.from_numpy(x)[None], torch.tensor([planted.asked[6 - k]]), torch.zeros(1, 3))[0]
        clean = np.clip((x - np.sqrt(1 - products[k]) * said[:3].numpy()) / np.sqrt(products[k]), -1, 1)
        mean = np.sqrt(before) * betas[k] / (1 - products[k]) * clean
        x = mean + np.sqrt(1 - betas[k]) * (1 - before) / (1 - products[k]) * x
        if k:
            log = np.log(betas[k] * (1 - before) / (1 - products[k]))
            if learnt:
                share = (said[3:].numpy() + 1) / 2
                log = share * np.log(betas[k]) + (1 - share) * log
            x = x + np.exp(0.5 * log) * torch.randn(3, SIDE, SIDE, generator=generator).numpy()
    wanted = ((np.clip(x, -1, 1) + 1) * 127.5).round().transpose(1, 2, 0)
    assert np.abs(drawn - wanted).max() <= 1


def test_the_bound_does_not_clip() -> None:
    """The source clips the clean picture when it samples, not in its loss: there it would hide the mean's error."""
    decoder = Decoder(decoder_preset("tiny", SIDE, 3, learn_sigma=True))
    every = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    noisy, noise = torch.full((1, 3, SIDE, SIDE), 0.9), torch.full((1, 3, SIDE, SIDE), -1.5)
    t = 300
    mean, _ = diffusion._reverse(decoder, noisy, noise, torch.zeros_like(noise), torch.tensor([t]))
    beta = 1 - every[t] / every[t - 1]
    wanted = (0.9 + 1.5 * beta / np.sqrt(1 - every[t])) / np.sqrt(1 - beta)  # Ho et al., eq. 11
    assert mean.numpy() == pytest.approx(wanted, abs=1e-4)
    assert (0.9 + 1.5 * np.sqrt(1 - every[t])) / np.sqrt(every[t]) > 1.5, "out of range, so clipping would show"
