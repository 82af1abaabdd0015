"""What could silently be wrong: a false caption taught as true, a model that learnt nothing or only remembers its
pictures, a run that another run does not repeat."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from planted import drawn_spar

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.models import HistogramBaseline, load_model
from torchmultiverse.store import ImageList
from torchmultiverse.train import ClipTraining, train_clip
from torchmultiverse.train.captions import (
    CAPTION_KINDS,
    ImageContent,
    PlacedAnimal,
    caption_of,
    hard_negatives,
    words_of,
)
from torchmultiverse.train.clip import CaptionObjective

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

TWO = ImageContent("Desert", (PlacedAnimal("Lion", "left", "Default"), PlacedAnimal("Camel", "right", "Default")))
PAINTED = ImageContent("Snow", (PlacedAnimal("Lion", "left", "Blue"), PlacedAnimal("Camel", "right", "Red")))
ONE = ImageContent("Snow", (PlacedAnimal("Lion", "top", "Default"),))
NONE = ImageContent("Snow", ())


def test_statements() -> None:
    assert caption_of(TWO, "scene") == "This is a photo in a Desert environment"
    assert caption_of(TWO, "animals") == "This is a photo of a Camel and a Lion"
    assert caption_of(TWO, "sides") == "This is a photo of a Lion on the left and a Camel on the right of the picture"
    assert caption_of(TWO, "textures") is None
    assert (
        caption_of(PAINTED, "textures") == "This is a photo of a Lion textured with Blue and a Camel textured with Red"
    )
    assert caption_of(ONE, "full") == "This is a photo of a Lion on the top of the picture in a Snow environment"
    assert [caption_of(NONE, kind) for kind in CAPTION_KINDS] == [
        "This is a photo in a Snow environment",
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("facts", [TWO, PAINTED, ONE, NONE])
def test_look_alikes_are_false_and_near(facts: ImageContent) -> None:
    alike = hard_negatives(facts, ["Camel", "Lion", "Zebra"], ["Desert", "Snow"])
    assert facts not in alike
    assert len(alike) == len(set(alike))
    assert all(caption_of(other, "full") != caption_of(facts, "full") for other in alike if facts.animals)
    if facts is TWO:
        swapped = ImageContent(
            "Desert", (PlacedAnimal("Camel", "left", "Default"), PlacedAnimal("Lion", "right", "Default"))
        )
        assert alike[-1] == swapped


@pytest.mark.parametrize("facts", [TWO, PAINTED, ONE, NONE])
def test_words_are_those_of_all_captions_and_of_their_false_twins(facts: ImageContent) -> None:
    animals, worlds = sorted({animal.name for animal in facts.animals}), [facts.world]
    said = [caption_of(one, kind) for one in [facts, *hard_negatives(facts, animals, worlds)] for kind in CAPTION_KINDS]
    assert {word for caption in said if caption for word in caption.split()} <= words_of([facts])
    assert not {"Zebra", "Desert"} & words_of([ONE])


def test_columns_become_facts() -> None:
    row = drawn_spar(16).table().to_pylist()[4]
    facts = ImageContent.of(row)
    assert facts.world == row["world_name"]
    assert [animal.name for animal in facts.animals] == [
        row[name] for name in ("character_name", "character2_name") if row[name] != "blank"
    ]


@pytest.fixture(scope="module")
def small() -> ImageList:
    return drawn_spar(64, seed=1, animals=["Goldfish", "Penguin"], settings=[("left", "right", "Default", "Default")])


@pytest.mark.slow
def test_a_short_training_learns_something(tmp_path: Path) -> None:
    drawn = drawn_spar(64, seed=1)
    folder = train_clip(drawn, tmp_path, ClipTraining(steps=60, batch_size=24), quiet=True)
    models = [load_model(f"tiny:{folder}"), load_model(f"tiny:{folder}/random"), HistogramBaseline.fit(drawn)]
    # Drawn anew: other places, sizes and horizons than those trained on.
    result = evaluate(drawn_spar(64, seed=2), models, quiet=True)

    def cell(model: str, task: str, metric: str = "top1") -> dict:
        (found,) = result.cells(model=model, task=task, metric=metric, setting="all", scope="plain", factor="all")
        return found

    # A quarter of the usual steps teaches the worlds, but not yet every animal and side.
    for task, metric in (("scene_with_animals", "top1"), ("average", "mean")):
        trained = cell("tiny CLIP, trained", task, metric)
        assert trained["low"] > trained["chance"], trained
        assert trained["accuracy"] > cell("tiny CLIP, untrained", task, metric)["accuracy"]
    assert cell("colour histogram", "relation", "hard_negative")["accuracy"] == 0.5


def test_only_words_that_occur_are_trained_and_the_model_reads_as_before(tmp_path: Path) -> None:
    """What could be silently wrong: a shortened table or text is read as another one, and the trained rows come back to
    the wrong words."""
    from torchmultiverse.models import build_tiny, tiny_config

    config = tiny_config(32)
    module, tokenizer = build_tiny(config, 0)
    before = module.token_embedding.weight.detach().clone()
    objective = CaptionObjective(module, tokenizer, torch.zeros(3, 3, 32, 32), [TWO, PAINTED, ONE], ClipTraining())
    objective.device = torch.device("cpu")
    learnt = sum(p.numel() for group in objective.parameter_groups() for p in group["params"])
    assert learnt < sum(p.numel() for p in module.parameters()) / 3  # the table was most of it
    # Short and long ones together, and one with more tokens than the model reads.
    texts = [caption_of(one, kind) or "" for one in (TWO, PAINTED, ONE) for kind in CAPTION_KINDS]
    texts = [text for text in texts if text] + [" ".join([caption_of(PAINTED, "full") or ""] * 3)]

    def plainly() -> Any:
        return torch.nn.functional.normalize(module.encode_text(tokenizer(texts)), dim=-1)

    torch.testing.assert_close(objective.read(texts), plainly())
    weights = torch.linspace(-1, 1, 64)
    objective.read(texts).mul(weights).sum().backward()
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    words = objective.modules()["words"].weight.grad.clone()
    module.zero_grad()
    module.token_embedding.weight.requires_grad_(True)
    plainly().mul(weights).sum().backward()
    dense = module.token_embedding.weight.grad
    used = torch.nonzero(dense.abs().sum(1)).squeeze(1)
    assert set(used.tolist()) <= set(objective.used_tokens)
    torch.testing.assert_close(words, dense[objective.used_tokens])
    assert found.keys() == {n for n, p in module.named_parameters() if p.grad is not None} - {"token_embedding.weight"}
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, module.get_parameter(name).grad)
    with torch.no_grad():
        objective.modules()["words"].weight.add_(1)
    objective.put_back()
    changed = torch.nonzero((module.token_embedding.weight != before).any(1)).squeeze(1)
    assert changed.tolist() == objective.used_tokens


def test_training_repeats_itself(small: ImageList, tmp_path: Path) -> None:
    hashes = []
    for seed, folder in ((0, "a"), (0, "b"), (1, "c")):
        train_clip(small, tmp_path / folder, ClipTraining(seed=seed, steps=2, batch_size=8), quiet=True)
        hashes.append(load_model(f"tiny:{tmp_path / folder}").info.weights_sha256)
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


def test_training_needs_the_columns_of_spar(tmp_path: Path) -> None:
    pictures = ImageList([drawn_spar(16).image(0)] * 2, [{"world_name": "A"}] * 2)
    with pytest.raises(DatasetError, match="character_name"):
        train_clip(pictures, tmp_path)
    assert not (tmp_path / "model.pt").exists()


def test_the_baseline_is_ridge_regression(small: ImageList) -> None:
    model = HistogramBaseline.fit(small, ridge=1e-9)
    again = HistogramBaseline.fit(small, ridge=1e-9)
    pictures = list(small.iter_images())
    assert np.array_equal(model.encode_image(pictures), again.encode_image(pictures))
    # With next to no penalty it reproduces its own training captions better than with much.
    captions = small.table()["caption"].to_pylist()
    strong = HistogramBaseline.fit(small, ridge=1e3)

    def fit(m: HistogramBaseline) -> float:
        return float((m.encode_image(pictures) * m.encode_text(captions)).sum(1).mean())

    assert fit(model) > fit(strong)
    assert model.encode_text(["words never seen"]).shape == (1, len(model.vocabulary))
    with pytest.raises(ValueError, match="one caption per picture"):
        HistogramBaseline.fit(small, captions=["a"])
