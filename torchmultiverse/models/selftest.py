"""What could be wrong with an adapter or its weights, tried on images made here.

A model that passes can still be bad; one that fails gives numbers that mean something else than they say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.json_text import read_json
from torchmultiverse.models.arrays import array, unit
from torchmultiverse.models.contract import (
    Classifier,
    HasCandidateLimit,
    HasDevice,
    HasLayers,
    HasModule,
    HasMutableInfo,
    HasTokens,
    ImageEncoder,
    ImageTextModel,
    Model,
    Scorer,
)
from torchmultiverse.models.preprocess import FloatArray

CAPTIONS = ("a photo of a zebra", "a photo of a giant tortoise on the left of the picture in a desert environment")
_SAME = {"float32": 1e-3, "bfloat16": 3e-2}
"""Largest difference between two vectors of one picture, as a fraction of their length."""


@dataclass(frozen=True)
class CheckResult:
    """One check and what it found.

    Attributes:
        check: what was tried.
        state: ``ok``, ``note`` (worth knowing) or ``fails``.
        detail: what was found, for people.
    """

    check: str
    state: Literal["ok", "note", "fails"]
    detail: str


def known_images() -> list[Image.Image]:
    """Return four images that are the same everywhere: waves, a checkerboard, a disc, noise; one is not square."""
    rows, columns = np.mgrid[0:256, 0:256]
    waves = np.stack([127.5 + 127.5 * np.sin(rows / k) * np.cos(columns / (k + 3)) for k in (9, 17, 31)], -1)
    board = np.repeat(((rows // 32 + columns // 32) % 2 * 255)[..., None], 3, -1)
    disc = np.where(((rows - 100) ** 2 + (columns - 150) ** 2 < 60**2)[..., None], (220, 60, 30), (40, 90, 160))
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3))
    return [Image.fromarray(image.astype(np.uint8)) for image in (waves, board, disc, noise)]


def check_model(model: Model, against: str | Path | None = None, save: str | Path | None = None) -> list[CheckResult]:
    """Return what was found; a model fails where one finding does.

    Args:
        model: to try.
        against: file of vectors that the same model gave elsewhere.
        save: file to write the vectors of the known images to, as JSON.

    Raises:
        ModelError: ``against`` cannot be read.
    """
    images = known_images()
    function = _function(model)
    try:
        together = function(images)
    except Exception as error:  # anything: a model may be a function of the user's
        detail = (str(error).splitlines() or [""])[0][:200]
        return [CheckResult("takes images", "fails", f"{type(error).__name__}: {detail}")]
    found = list(_numbers(model, together))
    if any(one.state == "fails" for one in found):
        return found
    apart = np.concatenate([function([image]) for image in images])
    found.append(_same("a picture alone and among others", together, apart, model))
    found += _text(model)
    found += _activation(model)
    found += _capabilities(model, images, together)
    if against is not None:
        found.append(_against(model, together, Path(against)))
    if save is not None:
        Path(save).write_text(json.dumps({"model": model.info.as_dict(), "vectors": together.tolist()}) + "\n")
    return found


def _function(model: Model) -> Any:
    if isinstance(model, ImageTextModel | ImageEncoder):
        return model.encode_image
    if isinstance(model, Classifier):
        return model.logits
    return lambda images: model.score(images, CAPTIONS)


def _numbers(model: Model, vectors: FloatArray) -> Iterator[CheckResult]:
    info = model.info
    good = vectors.ndim == 2 and len(vectors) == 4 and np.isfinite(vectors).all()
    yield CheckResult("one finite vector per picture", "ok" if good else "fails", f"shape {vectors.shape}")
    if not good:
        return
    if info.embedding is not None and not isinstance(model, Scorer):
        fits = info.embedding == vectors.shape[1]
        yield CheckResult(
            "as long as declared", "ok" if fits else "fails", f"{vectors.shape[1]}, declared {info.embedding}"
        )
    if isinstance(model, Classifier) and model.classes is not None:
        named = len(model.classes)
        fits = named == vectors.shape[1]
        yield CheckResult(
            "a name for each logit", "ok" if fits else "fails", f"{vectors.shape[1]} logits, {named} names"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if isinstance(model, ImageTextModel):
        normed = bool(np.abs(lengths - 1).max() < 1e-3)
        yield CheckResult(
            "unit length", "ok" if normed else "fails", f"lengths {lengths.min():.4f} to {lengths.max():.4f}"
        )
    range_ = float(np.abs(vectors - vectors[:1]).max())
    state: Any = "ok" if range_ > 1e-5 * float(np.abs(vectors).max() + 1e-12) else "fails"
    yield CheckResult("different images, different vectors", state, f"largest difference {range_:.3g}")
    if info.weights == "random":
        yield CheckResult("weights", "note", "random: nothing was learnt")


def _same(what: str, one: FloatArray, two: FloatArray, model: Model) -> CheckResult:
    scale = float(np.linalg.norm(one, axis=1).max()) + 1e-12
    off = float(np.linalg.norm(one - two, axis=1).max()) / scale
    limit = _SAME[model.info.precision]
    return CheckResult(
        what, "ok" if off <= limit else "fails", f"differ by {off:.1e} of their length, at most {limit:g}"
    )


def _text(model: Model) -> Iterator[CheckResult]:
    if not isinstance(model, ImageTextModel):
        return
    together = model.encode_text(list(CAPTIONS))
    alone = np.concatenate([model.encode_text([caption]) for caption in CAPTIONS])
    yield _same("a caption alone and beside a longer one (padding)", together, alone, model)
    apart = float(np.abs(together[0] - together[1]).max())
    yield CheckResult("different captions, different vectors", "ok" if apart > 1e-5 else "fails", f"by {apart:.3g}")
    swapped = model.encode_text(
        ["a zebra on the left and a goat on the right", "a goat on the left and a zebra on the right"]
    )
    order = float(np.abs(swapped[0] - swapped[1]).max())
    yield CheckResult(
        "reads the order of words", "ok" if order > 1e-5 else "note", f"swapped captions differ by {order:.3g}"
    )
    long = " ".join(["a very long caption"] * 12)
    cut = np.abs(np.subtract(*model.encode_text([f"{long} {'and more ' * 30}zebra", f"{long} {'and more ' * 30}goat"])))
    if cut.max() < 1e-6:
        yield CheckResult(
            "length of captions", "note", f"what comes late in a long caption is not read ({model.info.text})"
        )
    if model.logit_scale <= 0 or not np.isfinite(model.logit_scale):
        yield CheckResult("logit scale", "fails", f"{model.logit_scale}")


def _activation(model: Model) -> Iterator[CheckResult]:
    """Weights of OpenAI's CLIP were trained with QuickGELU; with GELU they load and give slightly wrong vectors."""
    name = model.info.source.partition("?")[0]
    if not name.startswith("open_clip:") or "//" in name or name.endswith("/random"):
        return
    import open_clip

    arch, _, tag = name.removeprefix("open_clip:").partition("/")
    wanted = bool((open_clip.get_pretrained_cfg(arch, tag) or {}).get("quick_gelu", False))
    if not isinstance(model, HasModule):
        return
    has = any(type(part).__name__ == "QuickGELU" for part in model.module.modules())
    detail = f"weights were trained with {'Quick' if wanted else ''}GELU, the model has {'Quick' if has else ''}GELU"
    yield CheckResult("activation", "ok" if has == wanted else "fails", detail)


def _capabilities(model: Any, images: list[Image.Image], vectors: FloatArray) -> Iterator[CheckResult]:
    """Try what a model claims to be able to do beyond its protocol."""
    if isinstance(model, HasMutableInfo):
        name = model.info.name
        model.change(name=f"{name}, renamed")
        renamed = model.info.name
        model.change(name=name)
        good = (renamed, model.info.name) == (f"{name}, renamed", name)
        yield CheckResult("its facts can be changed", "ok" if good else "fails", f"{name} became {renamed}")
    if isinstance(model, HasTokens):
        tokens = np.asarray(model.tokens(list(CAPTIONS)))
        good = tokens.ndim == 2 and len(tokens) == len(CAPTIONS) and np.issubdtype(tokens.dtype, np.integer)
        yield CheckResult("tokens of captions", "ok" if good else "fails", f"{tokens.dtype}, shape {tokens.shape}")
    if isinstance(model, HasCandidateLimit):
        good = isinstance(model.max_candidates, int) and model.max_candidates >= 2
        yield CheckResult("largest number of candidates", "ok" if good else "fails", str(model.max_candidates))
    if isinstance(model, HasModule) and isinstance(model, HasDevice):
        places = {parameter.device.type for parameter in model.module.parameters()} or {model.device.type}
        good = places == {model.device.type} and not model.module.training
        detail = f"on {' and '.join(sorted(places))}, {'training' if model.module.training else 'evaluation'} mode"
        yield CheckResult("a module on its device, in evaluation mode", "ok" if good else "fails", detail)
    if isinstance(model, HasLayers):
        yield from _layers(model, images, vectors)


def _layers(model: Any, images: list[Image.Image], vectors: FloatArray) -> Iterator[CheckResult]:
    with model.computing():
        batch = model.batch(images)
        output = array(model.forward(batch))
        full = array(model.forward_full(batch))
    wanted = (len(images), 3, *model.input_size)
    fits = tuple(batch.shape) == wanted
    yield CheckResult("a batch of its input size", "ok" if fits else "fails", f"{tuple(batch.shape)}, wanted {wanted}")
    if isinstance(model, ImageTextModel):
        output = unit(output)
    if output.shape != vectors.shape:
        yield CheckResult("forward gives its output", "fails", f"shape {output.shape}, output {vectors.shape}")
    else:
        yield _same("forward gives its output", output, vectors, model)
    good = full.ndim == 2 and len(full) == len(images) and np.isfinite(full).all()
    yield CheckResult("the deepest path ends in one row per image", "ok" if good else "fails", f"shape {full.shape}")


def _against(model: Model, vectors: FloatArray, path: Path) -> CheckResult:
    try:
        known = np.asarray(read_json(path.read_text())["vectors"], np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} holds no vectors that `models check --save` wrote: {error}") from None
    if known.shape != vectors.shape:
        return CheckResult("known vectors", "fails", f"shape {vectors.shape}, known {known.shape}")
    return _same("known vectors", vectors, known, model)
