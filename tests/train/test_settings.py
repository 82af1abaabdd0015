"""Settings of trainings and their grammar.

What could silently be wrong: a value that is read as another one, a setting that is accepted and does nothing, or the
same text that means one thing as an option and another behind ``--set`` or in a recipe.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.cli.options import option_sets
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.train import (
    ClassifierTraining,
    ClipTraining,
    DiffusionTraining,
    EncoderTraining,
    FineTuning,
    classifier_training,
    parse_setting,
    parse_settings,
)
from torchmultiverse.train.settings import SMALL

KINDS = (EncoderTraining, ClipTraining, FineTuning, ClassifierTraining, DiffusionTraining)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("keep=0,5", "keep", (0, 5)),
        ("keep=0..20..5", "keep", (0, 5, 10, 15, 20)),
        ("keep=0,3..5", "keep", (0, 3, 4, 5)),
        ("keep=", "keep", ()),
        ("keep=none", "keep", ()),
        ("head=64-32", "head", (64, 32)),
        ("head=64,32", "head", (64, 32)),
        ("head=none", "head", ()),
        ("crops=1+8", "crops", (1, 8)),
        ("local_scale=0.05+0.2", "local_scale", (0.05, 0.2)),
        ("augment=crop+flip", "augment", ("crop", "flip")),
        ("augment=crop, flip", "augment", ("crop", "flip")),
        ("augment=none", "augment", ()),
        ("augment=fourier+crop", "augment", ("amplitude", "phase", "frequency", "mixture", "crop")),
        ("learning_rate=0.3", "learning_rate", 0.3),
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        (" epochs = 7 ", "epochs", 7),
        ("pairs=character_name", "pairs", "character_name"),
        ("option.temperature=0.5", "options", {"temperature": 0.5}),
        ("option.warmup_teacher_temp_epochs=30", "options", {"warmup_teacher_temp_epochs": 30}),
    ],
)
def test_settings_are_read_from_text(text: str, name: str, value: Any) -> None:
    found = parse_settings(EncoderTraining(), [text])
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)
    assert found.changed(**{name: getattr(EncoderTraining(), name)}) == EncoderTraining()


def test_other_kinds_are_read_in_the_same_way() -> None:
    assert parse_settings(FineTuning(), ["hard_negatives=no", "split=none", "captions=original"]) == FineTuning(
        hard_negatives=False, split=None, captions="original"
    )
    assert parse_setting(DiffusionTraining(), "ema", "0.9").ema == 0.9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch=3", r"no setting 'epoch'.*'epochs'"),
        ("epochs=many", "'many' is no value of epochs, such as 20"),
        ("epochs=-1", "'-1' is no value of epochs, such as 20: input should be greater than or equal to 0"),
        ("keep=0,x", "'0,x' is no value of keep, such as 0,5,20"),
        ("keep=0..5..0", r"'0\.\.5\.\.0' is no value of keep"),
        ("local_scale=0.2+0.05", r"local_scale, such as 0.05,0.25: .*the smaller one comes first"),
        ("local_scale=0.2", "local_scale, such as 0.05,0.25"),
        ("crops=1+2+3", "crops, such as"),
        ("method=simcrl", r"no method 'simcrl'.*'simclr'"),
        ("augment=crop,colour", r"no augment 'colour'.*'color'"),
        ("optimizer=lasr", r"no optimizer 'lasr'.*lars"),
        ("option.temperature=warm", "'warm' is no value of option.temperature"),
        ("option.=1", r"no setting 'option\.'"),
        ("options=1", r"no setting 'options'"),
        ("epochs", r"'epochs' is no setting; one is NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_named_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_settings(EncoderTraining(), [text])


def test_settings_of_code_are_checked_in_the_same_way() -> None:
    with pytest.raises(ModelError, match=r"no setting 'epoch'.*'epochs'"):
        EncoderTraining(epoch=3)  # type: ignore[call-arg]
    with pytest.raises(ModelError, match=r"scale.*less than or equal to 1"):
        EncoderTraining(scale=2)
    with pytest.raises(ModelError, match="no captions 'all'"):
        FineTuning().changed(captions="all")


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_explained_and_comes_back_from_a_file(kind: Any) -> None:
    usual = kind()
    assert all(field.description for field in kind.model_fields.values())
    assert kind(**json.loads(json.dumps(usual.as_dict()))) == usual


def test_a_classifier_has_settings_by_name_and_from_a_file(tmp_path: Path) -> None:
    assert classifier_training("small") == SMALL
    file = tmp_path / "mine.json"
    file.write_text('{"model": "resnet10t", "epochs": 3}')
    assert classifier_training(file) == ClassifierTraining(model="resnet10t", epochs=3)
    file.write_text('{"epoch": 3}')
    with pytest.raises(DatasetError, match=r"mine.json.*no setting 'epoch'.*'epochs'"):
        classifier_training(file)


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_every_training_mean_its_defaults(kind: type[Any]) -> None:
    """A default that no option can say (nothing at all) would make the command fail before it starts."""
    found: list[Any] = []

    def command(training: Any) -> None:
        found.append(training)

    command.__annotations__["training"] = kind
    options = option_sets(command)
    options(**{name: option.default for name, option in inspect.signature(options).parameters.items()})
    assert found == [kind()]


def test_a_setting_that_is_nothing_by_default_can_be_left_out_of_a_command(tmp_path: Path) -> None:
    """A default of nothing is no text: "None" is no number, and the command would refuse its own default."""
    from torchmultiverse.cli.options import _training, _training_options

    options = {parameter.name: parameter.default for parameter in _training_options(EncoderTraining)}
    assert options["scale"] is None
    assert _training(EncoderTraining, {**options, "seed": 0}) == EncoderTraining()
    assert _training(EncoderTraining, {**options, "scale": "0.4", "crops": "1+8"}) == EncoderTraining(
        scale=0.4, crops=(1, 8)
    )
