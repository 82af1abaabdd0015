"""What could silently be wrong: a night of scores lost because the last of ten models fails; a user's mistake taken for
a lack of memory and tried again with ever fewer pictures; a number of another meaning taken as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import Result, evaluate
from torchmultiverse.evaluation.reference import imagenet_accuracies
from torchmultiverse.evaluation.run import PartialEvaluationError
from torchmultiverse.features.encode import BatchSize
from torchmultiverse.models import Preprocess, as_model
from torchmultiverse.models.registry import model_strings
from torchmultiverse.models.selftest import check_model
from torchmultiverse.store import ImageList

CLASSES = ["Elephant", "Zebra"]


def _pictures(count: int = 12) -> ImageList:
    images = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(count)]
    rows = [{"scene_id": f"{i:032x}", "character_name": CLASSES[i % 2]} for i in range(count)]
    return ImageList(images, rows)


class Right:
    """A classifier that is right, counts what it is shown, and fails where it is told to."""

    def __init__(self, name: str, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.name, self.classes, self.shown = name, CLASSES, 0
        self._fails_at, self._error = fails_at, error or ZeroDivisionError("division by zero")

    def logits(self, images: Any) -> np.ndarray:
        seen = [image.getpixel((0, 0))[0] for image in images]
        self.shown += len(seen)
        if self._fails_at in seen:
            raise self._error
        return np.eye(2, dtype=np.float32)[[i % 2 for i in seen]]


def test_a_model_that_fails_at_once_is_found_before_others_run(tmp_path: Path) -> None:
    first, last = Right("first"), Right("last", fails_at=0)
    with pytest.raises(ModelError, match=r"'last' fails: ZeroDivisionError: division by zero \(test_failing_models"):
        evaluate(_pictures(), [first, last], "classification", out=tmp_path / "out", quiet=True)
    assert first.shown == 2
    assert not (tmp_path / "out").exists()


def test_what_was_scored_is_kept_when_a_model_fails_later(tmp_path: Path) -> None:
    models = [Right("a"), Right("b", fails_at=9), Right("c")]
    with pytest.raises(
        PartialEvaluationError, match=r"'b' fails: ZeroDivisionError.*a, c were scored and kept in .*out"
    ) as error:
        evaluate(_pictures(), models, "classification", out=tmp_path / "out", quiet=True, batch_size=4)
    kept = Result.load(tmp_path / "out")
    for result in (kept, error.value.result):
        assert result.models == ["a", "c"]
        assert [cell["accuracy"] for cell in result.cells(factor="all")] == [1, 1]
        assert any("b: not scored" in note for note in result.provenance.notes)
    assert [model.name for model in kept.provenance.models] == ["a", "c"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DatasetError("picture 9 is broken")])
def test_what_was_scored_is_kept_when_all_ends(error: BaseException, tmp_path: Path) -> None:
    models = [Right("a"), Right("b", fails_at=9, error=error), Right("c")]
    with pytest.raises(type(error)):
        evaluate(_pictures(), models, "classification", out=tmp_path / "out", quiet=True)
    assert Result.load(tmp_path / "out").models == ["a"]
    assert models[2].shown == 2, "what ends all is not tried again with the next model"


@pytest.mark.parametrize(
    ("error", "smaller"),
    [
        (RuntimeError("you forgot to allocate the balloon"), False),
        (ValueError("CUDA out of memory is no excuse"), False),
        (KeyError("alloc"), False),
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            True,
        ),
    ],
    ids=str,
)
def test_only_a_lack_of_memory_is_one(error: Exception, smaller: bool) -> None:
    calls: list[int] = []

    def function(batch: list[int]) -> Any:
        calls.append(len(batch))
        if len(batch) > 2:
            raise error
        return np.zeros((len(batch), 1), np.float32)

    size = BatchSize(8, grow=False)
    if smaller:
        size.run(function, list(range(8)))
        assert calls == [8, 4, 2, 2, 2, 2]
    else:
        with pytest.raises(type(error)):
            size.run(function, list(range(8)))
        assert calls == [8]


def _scores(images: Any) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[[image.getpixel((0, 0))[0] % 2 for image in images]]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"logits": s, "hidden_states": None},
        lambda s: s.astype(np.float16),
        lambda s: s.tolist(),
        lambda s: s.astype(np.int64),
    ],
    ids=["dict", "half", "list", "integers"],
)
def test_outputs_of_a_users_model(wrap: Callable[[np.ndarray], Any]) -> None:
    result = evaluate(
        _pictures(), as_model(lambda images: wrap(_scores(images)), name="m", classes=CLASSES), quiet=True
    )
    assert result.cells(factor="all")[0]["accuracy"] == 1


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda s: {"probs": s, "aux": s}, "returned a dict of probs, aux; an array is needed, or one under logits"),
        (lambda s: (s, s[:, :1]), "returned a tuple, which is no array of numbers"),
        (lambda s: None, r"model 'm' returned (NaN or infinity|shape \(\))|no array"),
        (lambda s: ["a"] * len(s), "returned a list, which is no array of numbers"),
        (lambda s: s[:1], r"returned shape \(1, 2\) for 12 inputs"),
    ],
)
def test_other_outputs_are_refused_by_name(wrap: Callable[[np.ndarray], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        evaluate(_pictures(), as_model(lambda images: wrap(_scores(images)), name="m", classes=CLASSES), quiet=True)


def test_tensors_modules_and_outputs_of_transformers() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    linear = torch.nn.Linear(3 * 64, 2)
    module = torch.nn.Sequential(torch.nn.Flatten(), linear)
    preprocess = Preprocess((8, 8), "squash")
    images = [image for image in _pictures().iter_images()]
    expected = as_model(module, name="m", preprocess=preprocess, classes=CLASSES).logits(images)
    for dtype in (torch.float16, torch.bfloat16):
        low = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 2))
        low.load_state_dict(module.state_dict())
        found = as_model(low.to(dtype), name="m", preprocess=preprocess, classes=CLASSES).logits(images)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=0.05)

    class Output(dict):  # as transformers' outputs: a dictionary of tensors
        pass

    class Both:
        def encode_image(self, images: Any) -> Any:
            return Output(image_embeds=torch.ones(len(images), 3, dtype=torch.float16))

        def encode_text(self, texts: Any) -> Any:
            return Output(text_embeds=torch.ones(len(texts), 3, dtype=torch.bfloat16, requires_grad=True))

    both = as_model(Both(), name="b")
    np.testing.assert_allclose(both.encode_image(images) @ both.encode_text(["a"]).T, 1, atol=1e-3)


def test_the_check_of_a_model_says_that_it_fails() -> None:
    broken = check_model(as_model(lambda images: 1 / 0, name="m"))
    assert [(finding.check, finding.state, finding.detail) for finding in broken] == [
        ("takes images", "fails", "ZeroDivisionError: division by zero")
    ]
    wide = check_model(as_model(lambda images: np.eye(len(images), 4, dtype=np.float32), name="m", classes=CLASSES))
    assert ("a name for each logit", "fails", "4 logits, 2 names") in [(f.check, f.state, f.detail) for f in wide]


@pytest.mark.parametrize(
    ("scale", "factor"),
    [("log", 100.0), ("log siglip", 117.3), (100.0, 100.0), (np.float32(20), 20.0), (None, 100.0)],
)
def test_the_scale_of_a_clip_is_a_logarithm(scale: Any, factor: float) -> None:
    """4.6 instead of 100 flattens every confidence of an object that is made as CLIP's and open_clip's are."""
    torch = pytest.importorskip("torch")
    if isinstance(scale, str):
        scale = torch.nn.Parameter(torch.tensor(math.log(factor)))

    class Clip:
        name, logit_scale = "c", scale

        def encode_image(self, images: Any) -> Any:
            return torch.ones(len(images), 2)

        def encode_text(self, texts: Any) -> Any:
            return torch.ones(len(texts), 2)

    model = as_model(Clip())
    assert model.logit_scale == pytest.approx(factor, rel=1e-5)
    assert model.info.logit_scale == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ("factor", "logit_scale is 100: a tensor is the logarithm"),
        ("two", "one number is needed"),
        (-1.0, "is -1: a pos"),
    ],
)
def test_a_scale_that_can_be_none_is_refused(scale: Any, message: str) -> None:
    torch = pytest.importorskip("torch")
    given = {"factor": torch.tensor(100.0), "two": torch.ones(2)}

    class Clip:
        logit_scale = given.get(scale, scale)

        def encode_image(self, images: Any) -> Any: ...

        def encode_text(self, texts: Any) -> Any: ...

    with pytest.raises(ModelError, match=message):
        as_model(Clip(), name="c")


def test_a_place_for_results_that_cannot_be_is_told_before_any_model_runs(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    model = Right("a")
    with pytest.raises(DatasetError, match="a file stands where the folder should be"):
        evaluate(_pictures(), model, "classification", out=tmp_path / "out" / "below", quiet=True)
    assert model.shown == 0


def test_classes_of_one_name_are_one_class() -> None:
    """The second of two logits called "Elephant" counted as a wrong answer, without a word."""

    def second(images: Any) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[[1 + image.getpixel((0, 0))[0] % 2 for image in images]]

    model = as_model(second, name="m", classes=["Elephant", "Elephant", "Zebra"])
    (cell,) = evaluate(_pictures(), model, "classification", quiet=True).cells(factor="all")
    assert cell["accuracy"] == 1
    assert cell["chance"] == 0.5


@pytest.mark.parametrize(
    ("classes", "told"),
    [([1, 2], r"classes\[0\] is 1, a int"), (["a", None], r"classes\[1\] is None"), ("ab", "a str")],
)
def test_names_of_classes_are_strings(classes: Any, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        as_model(Right("a").logits, name="m", classes=classes)


@pytest.mark.parametrize("alone", [True, False])
def test_vectors_of_pictures_and_captions_of_different_lengths_are_told(alone: bool) -> None:
    class Unlike:
        name = "unlike"

        def encode_image(self, images: Any) -> np.ndarray:
            return np.ones((len(images), 8), np.float32)

        def encode_text(self, texts: Any) -> np.ndarray:
            return np.ones((len(texts), 5), np.float32)

    with pytest.raises(ModelError, match="vectors of 8 and 5 numbers"):
        evaluate(_pictures(), Unlike() if alone else [Unlike(), Right("a")], "classification", quiet=True)


def test_complex_logits_are_no_logits() -> None:
    """NumPy drops the imaginary part."""
    model = as_model(lambda images: np.zeros((len(images), 2), np.complex64), name="m", classes=CLASSES)
    with pytest.raises(ModelError, match="complex"):
        evaluate(_pictures(), model, "classification", quiet=True)


def test_any_batch_size_is_one() -> None:
    (cell,) = evaluate(_pictures(), Right("a"), "classification", quiet=True, batch_size=10**30).cells(factor="all")
    assert cell["accuracy"] == 1


@pytest.mark.parametrize("data", [b"", b"no tensors\n"])
def test_a_file_that_is_no_checkpoint_is_told(data: bytes, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torchmultiverse.models.torch_tools import load_state

    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(ModelError, match=rf"model.pt \({len(data)} bytes\) is no checkpoint.*not in PyTorch's format"):
        load_state(tmp_path / "model.pt")


def test_a_list_of_models_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "models.txt").write_bytes(b"\xff\xfet\x00i\x00")
    with pytest.raises(ModelError, match=r"models.txt: it is no text in UTF-8"):
        model_strings([f"@{tmp_path / 'models.txt'}"])


def test_lists_as_editors_on_windows_write_them(tmp_path: Path) -> None:
    """A byte order mark became part of the first model's name, and of the first column's."""
    (tmp_path / "models.txt").write_text("tiny:a\n", encoding="utf-8-sig")
    assert model_strings([f"@{tmp_path / 'models.txt'}"]) == ["tiny:a"]
    (tmp_path / "imagenet.csv").write_text("model,top1\ntimm:a,80\n", encoding="utf-8-sig")
    assert list(imagenet_accuracies(tmp_path / "imagenet.csv")) == ["timm:a"]
