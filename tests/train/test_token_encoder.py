"""Tokens of what is in a picture. What could silently be wrong: a rank at the wrong place, an attention that looks at
padding, a bias that falls where it must rise, a relation of the wrong direction, a run that goes on as another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models.semantic_tokens import (
    OBJECT_SIZE,
    RELATIONS,
    nearest_objects,
    rank_matrix,
    scene_tokens,
)
from torchmultiverse.store import ImageList

torch = pytest.importorskip("torch")

from torchmultiverse.models.token_network import AdditiveBias, TokenEncoder, token_batch  # noqa: E402
from torchmultiverse.models.tokens import TokenConfig, TokenModel, load_tokens  # noqa: E402
from torchmultiverse.train import CaptionPairs, TokenTraining, train_tokens  # noqa: E402

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30), "yellow": (220, 220, 30)}
SMALL: dict[str, Any] = {"layers": 2, "heads": 2, "width": 32, "size": 32, "patch": 8, "seed": 0}


def _drawn(left: str, right: str, shift: int = 0, side: int = 48) -> Image.Image:
    """Two squares on grey, with their numbers in the fourth channel."""
    pixels = np.full((side, side, 4), 120, np.uint8)
    pixels[..., 3] = 0
    for number, (name, x) in enumerate(((left, 6), (right, 30)), 1):
        y = 16 + shift
        pixels[y : y + 12, x : x + 12] = (*COLOURS[name], number)
    return Image.fromarray(pixels)


def _pairs(shifts: range) -> tuple[ImageList, list[CaptionPairs]]:
    images, rows, said = [], [], []
    names = list(COLOURS)
    for shift in shifts:
        for i, one in enumerate(names):
            for two in names[i + 1 :]:
                rows.append((len(images), len(images) + 1))
                images += [_drawn(one, two, shift), _drawn(two, one, shift)]
                said.append((f"a {one} square left of a {two} square", f"a {two} square left of a {one} square"))
    table = [{"scene_id": f"{k:032x}"} for k in range(len(images))]
    return ImageList(images, table, "squares"), [CaptionPairs("left_right", np.array(rows), said)]


def test_ranks_are_those_of_the_equation() -> None:
    """Two objects in a relation, a third beside them: 7 6 5 and 4 3 by nearness, the largest where several hold."""
    boxes = np.array([[0.1, 0.5, 0.1, 0.1], [0.3, 0.5, 0.1, 0.1], [0.9, 0.5, 0.1, 0.1]])
    ranks = rank_matrix(3, [(0, 1, 0)], nearest_objects(boxes))
    # picture, objects 0 1 2, relation
    assert ranks.tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 7, 3, 6],
        [0, 4, 0, 3, 6],
        [0, 3, 4, 0, 0],
        [0, 5, 5, 0, 0],
    ]
    far = rank_matrix(6, [], nearest_objects(np.c_[np.arange(6) ** 2 / 30, np.zeros((6, 3))]))
    assert far[1].tolist() == [0, 0, 4, 3, 2, 1, 0], "the fifth nearest has none"


def test_the_bias_is_1_to_7_and_rises() -> None:
    bias = AdditiveBias()
    assert bias.weights().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    with torch.no_grad():
        bias.a.copy_(torch.randn(7, generator=torch.Generator().manual_seed(0)) * 3)
    weights = bias.weights().detach()
    assert weights[0] == 0
    assert (weights.diff() > 0).all()
    ranks = torch.tensor([[[0, 7], [4, 5]]])
    assert torch.equal(bias(ranks), weights[ranks])


def test_tokens_of_a_picture() -> None:
    found = scene_tokens(np.asarray(_drawn("red", "blue")))
    assert found.objects.shape == (2, OBJECT_SIZE)
    np.testing.assert_allclose(found.boxes, [[12 / 48, 22 / 48, 0.25, 0.25], [36 / 48, 22 / 48, 0.25, 0.25]])
    told = [(int(a), RELATIONS[r], int(b)) for (a, b, _), r in zip(found.triplets, found.relations, strict=True)]
    assert told == [(0, "left of", 1), (1, "right of", 0)]
    lower = np.asarray(_drawn("red", "blue")).copy()
    lower[40:46, 6:18] = lower[20:26, 6:18]  # the first reaches further down: it is nearer
    nearer = scene_tokens(lower)
    told = [(int(a), RELATIONS[r], int(b)) for (a, b, _), r in zip(nearer.triplets, nearer.relations, strict=True)]
    assert (0, "in front of", 1) in told
    assert (1, "behind", 0) in told
    empty = scene_tokens(np.zeros((20, 20, 4), np.uint8))
    assert (len(empty.objects), len(empty.relations)) == (0, 0)
    with pytest.raises(ValueError, match="4 channels"):
        scene_tokens(np.zeros((20, 20, 3), np.uint8))


def test_padding_and_order_change_nothing() -> None:
    """A picture's vector is the same beside a picture of more tokens, and its objects have no order without a bias."""
    torch.manual_seed(0)
    two, none = scene_tokens(np.asarray(_drawn("red", "blue"))), scene_tokens(np.zeros((48, 48, 4), np.uint8))
    for additive in (True, False):
        encoder = TokenEncoder(32, 2, 2, additive=additive).eval()
        with torch.no_grad():
            alone, beside = encoder(token_batch([none])), encoder(token_batch([none, two]))
            torch.testing.assert_close(alone[0], beside[0], atol=1e-5, rtol=1e-5)
            swapped = two._replace(
                objects=two.objects[::-1].copy(), boxes=two.boxes[::-1].copy(),
                triplets=np.array([[1 - a, 1 - b, c] for a, b, c in two.triplets]),
            )  # fmt: skip
            torch.testing.assert_close(
                encoder(token_batch([two])), encoder(token_batch([swapped])), atol=1e-5, rtol=1e-5
            )
    shaped = [TokenEncoder(32, 2, 2, additive=on) for on in (True, False)]
    assert sum(p.numel() for p in shaped[0].parameters()) - sum(p.numel() for p in shaped[1].parameters()) == 7


def test_a_model_is_what_it_was_saved_as(tmp_path: Path) -> None:
    for kind in ("tokens", "patches"):
        model = TokenModel(TokenConfig(kind, 32, 2, 2, 32, 8, ("a", "blue", "red", "square"), 0))  # type: ignore[arg-type]
        images = [_drawn("red", "blue"), _drawn("blue", "red")]
        again = load_tokens(model.save(tmp_path / kind))
        np.testing.assert_array_equal(model.encode_image(images), again.encode_image(images))
        np.testing.assert_array_equal(model.encode_text(["a red square"]), again.encode_text(["a red square"]))
        assert model.tokens(["A green square"]).tolist()[0][:4] == [2, 1, 5, 0]
    with pytest.raises(ModelError, match=r"reads pictures with the masks"):
        load_tokens(tmp_path / "tokens").encode_image([Image.new("RGB", (8, 8))])
    with pytest.raises(ModelError, match="holds no token encoder"):
        load_tokens(tmp_path)
    with pytest.raises(ModelError, match="must divide"):
        TokenModel(TokenConfig("tokens", 33, 2, 2, 32, 8, ()))


@pytest.mark.slow
def test_tokens_learn_who_is_left(tmp_path: Path) -> None:
    """Tokens tell pairs apart that they were not trained on; a finished run is loaded, another is not continued."""
    images, pairs = _pairs(range(0, 8, 2))
    training = TokenTraining(epochs=40, batch_size=16, learning_rate=2e-3, **SMALL)
    model = train_tokens(images, pairs, tmp_path / "m", training, quiet=True)
    shown, asked = _pairs(range(9, 14, 2))
    vectors = model.encode_image([shown.image(k) for k in range(len(shown))])
    right = []
    for one, (a, b) in zip(asked[0].rows, asked[0].captions, strict=True):
        text = model.encode_text([a, b])
        scores = vectors[one] @ text.T
        right += [scores[0, 0] > scores[0, 1], scores[1, 1] > scores[1, 0]]
    assert np.mean(right) > 0.9
    again = train_tokens(images, pairs, tmp_path / "m", training, quiet=True)
    np.testing.assert_array_equal(again.encode_text(["a red square"]), model.encode_text(["a red square"]))
    with pytest.raises(DatasetError, match="there are none"):
        train_tokens(images, [], tmp_path / "n", training, quiet=True)
