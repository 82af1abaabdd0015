"""Names that a user gives to models: NAME=STRING.

Silently wrong would be a path or an option with "=" that is cut in two, a fact that was read from a model's name before
it had another, and two models whose numbers are put under one name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import equivariance
from torchmultiverse.evaluation.run import _set_precision
from torchmultiverse.models import as_models, load_model, model_strings, split_alias
from torchmultiverse.store import ImageList

STRINGS = (
    "timm:resnet10t?resize=squash&size=64", "open_clip:ViT-B-32//runs/lr=0.1/model=3.pt", "hf:/data/a=b/c=d",
    "hub:owner/x=y:name", "python:my.module:make", "timm:resnet10t", "ssl:folder@12", "timm:x?name=a=b:c",
)  # fmt: skip


@pytest.mark.parametrize("string", STRINGS)
def test_a_string_with_equal_signs_stays_whole(string: str) -> None:
    assert split_alias(string) == (None, string)
    assert split_alias(f"ResNet-10 (ours) +1.5={string}") == ("ResNet-10 (ours) +1.5", string)
    assert model_strings([string, f"x={string}"]) == [string, f"x={string}"]


@given(st.text(st.characters(blacklist_characters=":=*@?"), max_size=80), st.sampled_from(STRINGS))
def test_what_stands_before_is_the_name_or_refused(name: str, string: str) -> None:
    if re.fullmatch(r"\w([\w .+()-]{0,62}[\w.+()-])?", name):
        assert split_alias(f"{name}={string}") == (name, string)
        return
    with pytest.raises(ModelError, match="cannot be a model's name"):
        split_alias(f"{name}={string}")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("=timm:resnet10t", "cannot be a model's name"),
        ("../x=timm:resnet10t", "cannot be a model's name"),
        (f"{'x' * 65}=timm:resnet10t", "up to 64"),
        ("x=", "behind NAME= stands a model string"),
        ("x=resnet10t", "behind NAME= stands a model string"),
        ("x=timm:*", "one name is for one model"),
        ("x=@models.txt", "one name is for one model"),
        ("x=y=timm:resnet10t/random", "unknown model family 'y=timm'"),
        ("x=timm:resnet10t/random?name=y", "named twice"),
    ],
)
def test_what_is_no_name_is_refused(spec: str, said: str) -> None:
    with pytest.raises(ModelError, match=said.replace("(", r"\(")):
        load_model(spec)


def test_two_of_a_name_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="two models are called 'x'"):
        model_strings(["x=timm:none", "x=timm:nothing"])
    assert model_strings(["x=timm:none", "x=timm:none"]) == ["x=timm:none"]
    (tmp_path / "m=1.txt").write_text("x=timm:none  # mine\n\ny=timm:none?resize=squash\n")
    assert model_strings([f"@{tmp_path}/m=1.txt"]) == ["x=timm:none", "y=timm:none?resize=squash"]
    same = "timm:resnet10t/random"
    with pytest.raises(ModelError, match=f"two models are called '{same}'"):
        as_models([same, same])
    pictures = ImageList([Image.new("RGB", (32, 32))] * 2, [{"world_name": w, "scene_id": w} for w in "ab"])
    with pytest.raises(ModelError, match="two models are called 'x'"):
        equivariance(pictures, [f"x={same}", "x=timm:resnet18/random"], quiet=True)


def test_an_alias_is_the_name_and_changes_nothing_else() -> None:
    plain, named = load_model("timm:resnet10t/random"), load_model("ours=timm:resnet10t/random")
    assert named.info.name == "ours"
    assert named.info.about == f"{plain.info.about} (timm:resnet10t/random)"
    facts = plain.info.as_dict() | {"name": "ours", "about": named.info.about}
    assert named.info.as_dict() == facts


def test_a_precision_that_was_asked_for_is_kept_under_any_name() -> None:
    """Whether one was asked for was told from the model's name."""
    string = "timm:resnet10t/random?precision=bfloat16"
    for spec in (string, f"ours={string}", f"{string}&name=theirs"):
        model = load_model(spec)
        _set_precision(model, "auto")
        assert model.info.precision == "bfloat16"
    model = load_model("ours=timm:resnet10t/random")
    _set_precision(model, "bfloat16")
    assert model.info.precision == "bfloat16"
