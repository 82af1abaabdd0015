"""Trains a decoder from vectors to pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.files import write_atomic
from torchmultiverse.models import (
    DECODER_CONFIG,
    DECODER_STATE,
    DECODER_WEIGHTS,
    DIFFUSION_STEPS,
    Decoder,
    DecoderConfig,
    FloatArray,
    decoder_loss,
)
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import progress_bar


def train_decoder(
    pixels: NDArray[np.uint8],
    vectors: FloatArray,
    config: DecoderConfig,
    out: str | Path,
    steps: int = 10_000,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    ema: float = 0.9999,
    seed: int = 0,
    flip: FloatArray | None = None,
    every: int = 1000,
    facts: Mapping[str, Any] | None = None,
    after: Callable[[int, Decoder], None] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a decoder from vectors to pictures; a run that was interrupted is continued by the same call.

    Args:
        pixels: uint8 (N, S, S, 3).
        vectors: of the same pictures, (N, D).
        config: of the decoder.
        out: folder to write.
        steps, batch_size, learning_rate: of AdamW at a constant rate, as in the source.
        ema: of the weights that are kept; averaged over fewer steps at first.
        seed: of first weights, order, steps and noise.
        flip: vectors of the mirrored pictures, (N, D): each picture is then mirrored half of the time.
        every: steps after which the run is saved.
        facts: written into ``config.json``.
        after: called with the steps done and the decoder (of averaged weights) whenever the run is saved.
        quiet: show no bar.

    Returns:
        The folder.

    Raises:
        DatasetError: pictures and vectors that do not fit, or another decoder in the folder.
        ModelError: the loss is no longer finite.
        MissingExtra: diffusers is not installed.
    """
    import torch

    if pixels.shape[1:] != (config.size, config.size, 3) or vectors.shape != (len(pixels), config.features):
        raise DatasetError(
            f"pictures {pixels.shape} and vectors {vectors.shape} do not fit a decoder of {config.size} pixels and "
            f"{config.features} features"
        )
    folder, where = Path(out), tools.device()
    training = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "ema": ema, "seed": seed,
                "pictures": len(pixels), **(facts or {})}  # fmt: skip
    spread = vectors.std(0)
    spread = np.where(spread > 1e-6 * max(float(spread.max()), 1e-30), spread, 1).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = Decoder(config, vectors.mean(0), spread).to(where)
    known = {**asdict(config), **training}
    written = folder / DECODER_CONFIG
    if written.exists() and json.loads(written.read_text()) != json.loads(json.dumps(known)):
        raise DatasetError(f"{folder} holds a decoder that was trained otherwise; choose another folder")
    if (folder / DECODER_WEIGHTS).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / DECODER_CONFIG, (json.dumps(known, indent=1) + "\n").encode())
    optimizer = torch.optim.AdamW(decoder.module.parameters(), learning_rate, weight_decay=0.0)
    average = {name: tensor.detach().clone() for name, tensor in decoder.module.state_dict().items()}
    done = 0
    if (folder / DECODER_STATE).exists():
        kept = tools.load_tensors(
            folder / DECODER_STATE, where, ("weights", "optimizer", "average", "steps"),
            "; delete it to train from the beginning",
        )  # fmt: skip
        decoder.module.load_state_dict(kept["weights"])
        optimizer.load_state_dict(kept["optimizer"])
        average, done = kept["average"], int(kept["steps"])
    pictures = torch.from_numpy(pixels)
    features = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
    mirrored = None if flip is None else torch.from_numpy(np.ascontiguousarray(flip, np.float32))
    with progress_bar(quiet) as progress:
        bar = progress.add_task("decoder", total=steps, completed=done, unit="steps")
        decoder.module.train()
        while done < steps:
            rng = np.random.default_rng((seed, done))
            noise_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
            rows = torch.from_numpy(rng.integers(0, len(pixels), min(batch_size, len(pixels))))
            batch = pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
            condition = features[rows]
            if mirrored is not None:
                turned = torch.from_numpy(rng.random(len(rows)) < 0.5)
                batch = torch.where(turned[:, None, None, None], batch.flip(-1), batch)
                condition = torch.where(turned[:, None], mirrored[rows], condition)
            times = torch.from_numpy(rng.integers(0, DIFFUSION_STEPS, len(rows)))
            noise = torch.randn(batch.shape, generator=noise_rng)
            batch, condition, times, noise = (one.to(where) for one in (batch, condition, times, noise))
            with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                loss = decoder_loss(decoder, batch, condition, times, noise)
            if not torch.isfinite(loss):
                raise ModelError(f"the loss is {loss.item()} at step {done + 1}; lower the rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
            keep = min(ema, (1 + done) / (10 + done))
            with torch.no_grad():
                for name, tensor in decoder.module.state_dict().items():
                    if tensor.is_floating_point():
                        average[name].lerp_(tensor, 1 - keep)
                    else:
                        average[name].copy_(tensor)
            progress.update(bar, advance=1, description=f"decoder, loss {loss.item():.3f}")
            if done % every == 0 and done < steps:
                running = {
                    "weights": decoder.module.state_dict(), "optimizer": optimizer.state_dict(), "average": average,
                    "steps": done,
                }  # fmt: skip
                tools.save_tensors(folder / DECODER_STATE, running)
                if after is not None:
                    live = {name: tensor.clone() for name, tensor in decoder.module.state_dict().items()}
                    decoder.module.load_state_dict(average)
                    decoder.module.eval()
                    after(done, decoder)
                    decoder.module.load_state_dict(live)
                    decoder.module.train()
    decoder.save(folder, average, **training)
    (folder / DECODER_STATE).unlink(missing_ok=True)
    return folder
