"""Protocols of other packages. What could silently be wrong: one is not found, or is scored as another; one that fails
keeps the others from being used, or leaves no word of which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.errors import SpecError
from torchmultiverse.evaluation import Result, Task, evaluate, load_protocol, multiple_choice, protocols
from torchmultiverse.evaluation.evaluators import ScorerEvaluator
from torchmultiverse.evaluation.outcomes import outcomes
from torchmultiverse.evaluation.outputs import Outputs
from torchmultiverse.models import ModelInfo
from torchmultiverse.store import ImageList

PROTOCOL = '''"""Is the image red or blue?"""

from torchmultiverse.evaluation import Prompts, Protocol, multiple_choice


class Colours(Protocol):
    name: str = "colours"
    version: int = 3
    title: str = "Colours"

    def compile(self, columns):
        prompts = Prompts(name="one sentence", templates=("a {} image",))
        shades = columns.get("shade", columns["label"]).astype(str)
        return [
            multiple_choice("colour", range(len(shades)), list(columns["label"]), title="Which colour", prompts=prompts,
                   clusters=shades, factors={"shade": (shades,)}),
        ]
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a protocol, and one that cannot be imported, as pip leaves them."""
    (tmp_path / "colours_protocol.py").write_text(PROTOCOL)
    (tmp_path / "broken_protocol.py").write_text("raise OSError('no disk')\n")
    facts = tmp_path / "colours-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: colours\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[torchmultiverse.protocols]\ncolours = colours_protocol:Colours\nbroken = broken_protocol:Broken\n"
        "number = colours_protocol:__doc__\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _images() -> ImageList:
    shades = [(200, 0, 0), (255, 0, 0), (0, 0, 200), (0, 0, 255)]
    rows = [{"label": "red" if red else "blue", "shade": "dark" if red + blue == 200 else "light"}
            for red, _, blue in shades]  # fmt: skip
    return ImageList([Image.new("RGB", (4, 4), shade) for shade in shades], rows, "shades")


class Eyes:
    """Sees red in every image but the darkest blue."""

    info = ModelInfo("eyes", "image-text")
    logit_scale = 10.0

    def encode_image(self, images: Sequence[Image.Image]) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[[int(image.getpixel((0, 0))[2] == 255) for image in images]]

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        assert set(texts) <= {"a red image", "a blue image"}
        return np.eye(2, dtype=np.float32)[[int("blue" in text) for text in texts]]


def test_a_protocol_of_another_package_scores_a_model(package: Path, tmp_path: Path) -> None:
    assert {"colours", "broken", "spar"} <= set(protocols())
    result = evaluate(_images(), Eyes(), "colours", out=tmp_path / "out", quiet=True)
    cells = {(c["factor"], c["level"]): c for c in result.cells(task="colour")}
    assert cells["all", "all"]["accuracy"] == 0.75
    assert (cells["shade", "dark"]["accuracy"], cells["shade", "light"]["accuracy"]) == (0.5, 1)
    assert cells["all", "all"]["clusters"] == 2
    kept = Result.load(tmp_path / "out")
    assert kept.provenance.protocol["version"] == 3
    assert kept.task("colour").title == "Which colour"


def test_a_protocol_of_another_package_is_asked_on_the_command_line(package: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    data = _images()
    for k, image in enumerate(data.iter_images()):
        folder = images / ("red" if k < 2 else "blue")
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{k}.png")
    (package / "eyes.py").write_text(
        "import numpy as np\n\n\nclass Eyes:\n"
        "    def encode_image(self, images):\n"
        "        return np.eye(2, dtype='f4')[[int(i.getpixel((0, 0))[2] > 0) for i in images]]\n\n"
        "    def encode_text(self, texts):\n"
        "        return np.eye(2, dtype='f4')[[int('blue' in t) for t in texts]]\n\n\n"
        "eyes = Eyes()\n"
    )
    asked = ["eval", str(images), "--model", "python:eyes:eyes", "--protocol", "colours"]
    ran = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    assert "Which colour" in ran.output
    (cell,) = Result.load(tmp_path / "out").cells(task="colour", factor="all")
    assert (cell["n"], cell["accuracy"]) == (4, 1)


def test_a_protocol_that_breaks_is_named(package: Path) -> None:
    nameless = ImageList([Image.new("RGB", (4, 4))], [{"animal": "Cat"}], "nameless")
    with pytest.raises(SpecError, match=r"protocol 'colours' fails on 'nameless': KeyError: 'label'"):
        evaluate(nameless, Eyes(), "colours", quiet=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"protocol 'broken' \(broken_protocol:Broken, of .*\) cannot be imported: .*: no disk"),
        ("number", r"protocol 'number' .* is a str; a subclass of Protocol, or an instance of one, is right"),
        ("colour", "unknown protocol 'colour'. Did you mean 'colours'"),
    ],
)
def test_a_plug_in_that_fails_is_named_and_keeps_nobody_else(package: Path, name: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_protocol(name)
    assert load_protocol("colours").title == "Colours"
    assert load_protocol("spar").name == "spar"


class Counting:
    """Scores captions by their length, and counts how often."""

    info = ModelInfo("counting", "scorer")

    def __init__(self, most: int) -> None:
        self.max_candidates, self.asked = most, []

    def score(self, images: Sequence[Image.Image], captions: Sequence[str]) -> np.ndarray:
        self.asked.append(list(captions))
        return np.tile(np.array([float(len(c)) for c in captions], np.float32), (len(images), 1))


def test_a_task_can_be_answered_without_any_protocol() -> None:
    """A model that can take two captions only is asked hard negatives; of what has none it is asked nothing."""
    task = multiple_choice("length", [0, 1, 2, 3], ["long one", "b", "ccc", "b"], ["long one", "b", "ccc"])
    twins = Task(
        name="twins", rows=task.rows, candidates=task.candidates, labels=task.labels, metrics=("top1", "hard_negative"),
        negatives=np.array([1, 0, 1, 2]),
    )  # fmt: skip
    model, notes = Counting(2), []
    evaluator = ScorerEvaluator(model, Outputs(_images(), 4, True))
    accepted = evaluator.accept([task, twins], notes)
    assert [(one.name, one.metrics) for one in accepted] == [("twins", ("hard_negative",))]
    assert notes == ["counting: tasks with more than 2 captions were asked as hard negatives only"]
    (found,) = outcomes(accepted[0], evaluator.scores(accepted[0]))
    assert found.outcome.correct.tolist() == [1, 0, 1, 0]
    assert all(len(captions) == 2 for captions in model.asked)


def test_no_code_knows_a_protocol_by_its_name() -> None:
    """What is true of one protocol by name is not true of a plug-in's that is like it: averages, pooling, titles."""
    package = Path(__file__).parents[2] / "torchmultiverse"
    own = {"classification.py", "registry.py", "provenance.py"}  # the protocol, the table of kinds, old records
    named = [path.name for path in package.rglob("*.py") if '"classification"' in path.read_text()]
    assert set(named) <= own
