"""The published network of decoders, and its weights under the names of this package.

What could silently be wrong: a tensor in another place of the same shape, attention divided otherwise, a map that is
halved elsewhere. All of these load without an error and draw noise. So the tensors are made here by their published
names, and the published equations are computed from them by other means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import import_decoder, load_conditioned_decoder, sample
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import (
    PUBLISHED_PRESETS,
    Decoder,
    DecoderConfig,
    decoder_loss,
    decoder_preset,
    load_decoder,
    load_model,
    load_published,
    published_decoder,
)
from torchmultiverse.models.published_decoder import published_shapes, translate_published
from torchmultiverse.store import ImageList

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
F = torch.nn.functional


class Source:
    """Tensors by published name, drawn when they are first used, and the network that uses them."""

    def __init__(self, config: DecoderConfig, parts_first: bool, seed: int = 0) -> None:
        self.config, self.parts_first = config, parts_first
        self.held: dict[str, Any] = {}
        self.rng = torch.Generator().manual_seed(seed)

    def get(self, name: str, *shape: int) -> Any:
        if name not in self.held:
            self.held[name] = 0.15 * torch.randn(*shape, generator=self.rng)
        assert self.held[name].shape == shape
        return self.held[name]

    def linear(self, name: str, x: Any, width: int) -> Any:
        return F.linear(x, self.get(f"{name}.weight", width, x.shape[-1]), self.get(f"{name}.bias", width))

    def conv(self, name: str, x: Any, width: int, side: int = 3) -> Any:
        weight = self.get(f"{name}.weight", width, x.shape[1], side, side)
        return F.conv2d(x, weight, self.get(f"{name}.bias", width), padding=side // 2)

    def norm(self, name: str, x: Any) -> Any:
        width = x.shape[1]
        scale, shift = self.get(f"{name}.weight", width), self.get(f"{name}.bias", width)
        return F.group_norm(x, self.config.groups, scale, shift, 1e-5)

    def residual(self, name: str, x: Any, embedding: Any, width: int, change: Any = lambda x: x) -> Any:
        h = change(F.silu(self.norm(f"{name}.in_layers.0", x)))
        h = self.conv(f"{name}.in_layers.2", h, width)
        x = change(x)
        both = self.linear(f"{name}.emb_layers.1", F.silu(embedding), 2 * width)[:, :, None, None]
        h = self.norm(f"{name}.out_layers.0", h) * (1 + both[:, :width]) + both[:, width:]
        h = self.conv(f"{name}.out_layers.3", F.silu(h), width)
        return h + (x if x.shape[1] == width else self.conv(f"{name}.skip_connection", x, width, 1))

    def attention(self, name: str, x: Any) -> Any:
        count, width, high, wide = x.shape
        heads = self.config.heads or width // self.config.head_channels
        flat = self.norm(f"{name}.norm", x).flatten(2)
        qkv = F.conv1d(
            flat, self.get(f"{name}.qkv.weight", 3 * width, width, 1), self.get(f"{name}.qkv.bias", 3 * width)
        )
        order = (count, 3, heads, width // heads, -1) if self.parts_first else (count, heads, 3, width // heads, -1)
        q, k, v = qkv.reshape(order).unbind(1 if self.parts_first else 2)
        weight = torch.softmax(q.transpose(-1, -2) @ k / math.sqrt(width // heads), -1)
        out = (v @ weight.transpose(-1, -2)).reshape(count, width, -1)
        out = F.conv1d(
            out, self.get(f"{name}.proj_out.weight", width, width, 1), self.get(f"{name}.proj_out.bias", width)
        )
        return x + out.reshape(count, width, high, wide)

    def __call__(self, x: Any, steps: Any, vectors: Any) -> Any:
        c = self.config
        angles = steps[:, None].float() * torch.exp(-math.log(1e4) * torch.arange(c.channels // 2) / (c.channels // 2))
        embedding = self.linear("time_embed.0", torch.cat([angles.cos(), angles.sin()], 1), 4 * c.channels)
        embedding = self.linear("time_embed.2", F.silu(embedding), 4 * c.channels)
        embedding = embedding + self.linear("ssl_emb", vectors, 4 * c.channels)
        halve = lambda x: F.avg_pool2d(x, 2)  # noqa: E731
        double = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
        h = self.conv("input_blocks.0.0", x, c.channels * c.multipliers[0])
        kept, place = [h], 0
        for level, multiplier in enumerate(c.multipliers):
            for _ in range(c.blocks):
                place += 1
                h = self.residual(f"input_blocks.{place}.0", h, embedding, c.channels * multiplier)
                if h.shape[-1] in c.attention:
                    h = self.attention(f"input_blocks.{place}.1", h)
                kept.append(h)
            if level < len(c.multipliers) - 1:
                place += 1
                h = self.residual(f"input_blocks.{place}.0", h, embedding, h.shape[1], halve)
                kept.append(h)
        h = self.residual("middle_block.0", h, embedding, h.shape[1])
        h = self.residual("middle_block.2", self.attention("middle_block.1", h), embedding, h.shape[1])
        place = -1
        for level, multiplier in reversed(list(enumerate(c.multipliers))):
            for block in range(c.blocks + 1):
                place, part = place + 1, 1
                h = torch.cat([h, kept.pop()], 1)
                h = self.residual(f"output_blocks.{place}.0", h, embedding, c.channels * multiplier)
                if h.shape[-1] in c.attention:
                    h, part = self.attention(f"output_blocks.{place}.1", h), 2
                if level and block == c.blocks:
                    h = self.residual(f"output_blocks.{place}.{part}", h, embedding, h.shape[1], double)
        return self.conv("out.2", F.silu(self.norm("out.0", h)), 6 if c.learn_sigma else 3)


def small(**changes: Any) -> DecoderConfig:
    settings: dict[str, Any] = {
        "channels": 16, "multipliers": (1, 2, 3), "blocks": 2, "attention": (8, 4), "groups": 8, "network": "adm",
        "standardise": False,
    }  # fmt: skip
    return DecoderConfig(16, 5, **{**settings, **changes})


@pytest.mark.parametrize(("heads", "parts_first"), [(4, False), (0, True)])
def test_tensors_of_published_names_give_what_the_published_equations_give(heads: int, parts_first: bool) -> None:
    config = small(heads=heads, head_channels=8)
    source = Source(config, parts_first)
    rng = torch.Generator().manual_seed(1)
    x, vectors = torch.randn(2, 3, 16, 16, generator=rng), torch.randn(2, 5, generator=rng)
    steps = torch.tensor([3, 700])
    wanted = source(x, steps, vectors)
    assert {name: tuple(one.shape) for name, one in source.held.items()} == published_shapes(config)
    decoder = Decoder(config)
    decoder.module.load_state_dict(translate_published(config, source.held, parts_first))
    decoder.module.eval()
    with torch.no_grad():
        found = decoder.predict(x, steps, vectors)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        # Attention that is divided in the other order draws something else, of the same shapes.
        decoder.module.load_state_dict(translate_published(config, source.held, not parts_first))
        assert (decoder.predict(x, steps, vectors) - wanted).abs().max() > 1e-2


def test_published_networks_have_the_published_numbers_of_weights() -> None:
    """As the source has them: 296, 422 and 554 million, with an embedding of 1,000 classes in place of vectors."""
    wanted = {"adm-64": 296, "adm-128": 422, "adm-256": 554}
    for preset, millions in wanted.items():
        config = decoder_preset(preset, int(preset[4:]), 1000)
        count = sum(math.prod(shape) for shape in published_shapes(config).values())
        assert round((count - 4 * config.channels) / 1e6) == millions, "an embedding has no bias"
    alone = published_shapes(decoder_preset("adm-256", 256, 2048, conditioning="none"))
    assert sum(math.prod(shape) for shape in alone.values()) == 552_814_086  # 2.21 GB, as released without classes
    released = published_shapes(decoder_preset("adm-128", 128, 2048))
    assert released["ssl_emb.weight"] == (1024, 2048)
    assert released["input_blocks.7.1.qkv.weight"] == (1536, 512, 1)
    assert released["output_blocks.14.0.in_layers.2.weight"] == (256, 512, 3, 3)
    assert released["out.2.weight"] == (6, 256, 3, 3)
    with pytest.raises(ModelError, match=r"published network of 128 pixels, not of 64: --size 128"):
        decoder_preset("adm-128", 64, 5)


def test_a_new_network_begins_as_published_and_learns() -> None:
    """Residual branches begin at zero: the first prediction is zero, and has a gradient."""
    for conditioning in ("add_emb", "cond_bn"):
        config = small(conditioning=conditioning, heads=2, multipliers=(1, 2), blocks=1, attention=(8,))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            decoder = Decoder(config)
        rng = torch.Generator().manual_seed(0)
        x, vectors = torch.rand(4, 3, 16, 16, generator=rng) * 2 - 1, torch.randn(4, 5, generator=rng)
        steps, noise = torch.tensor([1, 10, 500, 900]), torch.randn(4, 3, 16, 16, generator=rng)
        assert not decoder.predict(x, steps, vectors).any()
        optimizer = torch.optim.Adam(decoder.module.parameters(), 2e-3)
        losses = []
        for _ in range(8):
            optimizer.zero_grad()
            loss = decoder_loss(decoder, x, vectors, steps, noise)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.9 * losses[0]
        norms = [m for m in decoder.module.modules() if type(m).__name__ == "ConditionalNorm"]
        # Two of each block: 1 + 1 on the way down and 2 + 2 up, one that halves, one that doubles, 2 in the middle.
        assert len(norms) == (20 if conditioning == "cond_bn" else 0)


def of_file(folder: Path, monkeypatch: pytest.MonkeyPatch, held: Mapping[str, Any] | None = None) -> Path:
    """A file of released weights of a small network, which stands for that of 128 pixels."""
    config = small(heads=4)
    small_preset = {
        name: getattr(config, name) for name in ("channels", "multipliers", "blocks", "attention", "groups")
    }
    presets = {"adm-16": {**small_preset, "network": "adm", "heads": 4}}
    monkeypatch.setattr("torchmultiverse.models.diffusion.DECODER_PRESETS", presets)
    monkeypatch.setattr(published_decoder, "PUBLISHED_PRESETS", tuple(presets))
    path = folder / "released.pt"
    if held is None:
        rng = torch.Generator().manual_seed(0)
        shapes = published_shapes(small(heads=4, conditioning="add_emb"))
        shapes["ssl_emb.weight"] = (64, 512)
        held = {name: 0.1 * torch.randn(*shape, generator=rng) for name, shape in shapes.items()}
    torch.save(held, path)
    return path


def test_released_weights_become_a_decoder_that_is_asked_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    path = of_file(tmp_path, monkeypatch)
    model = "timm:resnet10t/random?size=32&norm=half"
    folder = import_decoder(path, model, tmp_path / "decoder", "global_pool")
    decoder = load_decoder(folder)
    assert (decoder.config.size, decoder.config.features, decoder.config.standardise) == (16, 512, False)
    assert decoder.config.weights_sha256 == load_model(model).info.weights_sha256
    pictures = ImageList([Image.new("RGB", (32, 32), (40 * k, 0, 0)) for k in range(4)], [{"label": "a"}] * 4)
    one = load_conditioned_decoder(folder, pictures)
    assert not len(one.training_rows)
    assert sample(one.decoder, one.vectors[:2], 1, 2, quiet=True).shape == (2, 1, 16, 16, 3)
    with pytest.raises(DatasetError, match="holds a decoder; choose another folder"):
        import_decoder(path, model, tmp_path / "decoder", "global_pool")
    with pytest.raises(ModelError, match=r"takes vectors of 512 numbers, not of 64"):
        import_decoder(path, model, tmp_path / "other", "layer1.0")


def test_other_files_are_refused_with_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = of_file(tmp_path, monkeypatch)
    held = torch.load(path, weights_only=True)
    del held["middle_block.1.qkv.bias"]
    held["label_emb.weight"] = torch.zeros(1000, 64)
    held["out.2.weight"] = torch.zeros(3, 16, 3, 3)
    torch.save(held, path)
    with pytest.raises(ModelError) as found:
        load_published(path)
    said = str(found.value)
    assert "1 are missing, the first 'middle_block.1.qkv.bias'" in said
    assert "1 have no place in it, the first 'label_emb.weight'" in said
    assert "the first 'out.2.weight': (3, 16, 3, 3), not (6, 16, 3, 3)" in said
    with pytest.raises(ModelError, match=r"no published network 'adm-12'.*adm-16"):
        load_published(path, "adm-12")
    torch.save({"time_embed.0.weight": np.random.default_rng}, path)  # code in place of tensors
    with pytest.raises(ModelError, match="no checkpoint of tensors alone"):
        load_published(path)
    assert PUBLISHED_PRESETS == ("adm-64", "adm-128", "adm-256")
