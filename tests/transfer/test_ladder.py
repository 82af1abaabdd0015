"""A ladder that silently names the wrong step: gains of another pair of steps, a target that was trained on, trainings
of other settings that are read as these, unmatched classes that count as right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.report import write_report
from torchmultiverse.study import Study
from torchmultiverse.train import ClassifierTraining, EncoderTraining
from torchmultiverse.transfer import LadderOptions, climb, ladder_study
from torchmultiverse.transfer.ladder_answers import gains, group_gains, target_accuracy

pytest.importorskip("timm")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "trends"))
from glyphs import glyphs, mixed

QUICK = ClassifierTraining(model="test_resnet", size=32, epochs=1, batch_size=32, learning_rate=4e-3)
QUIET = RunOptions(quiet=True)
FREE = {
    "narrow": (), "worlds": ("worlds",), "lights": ("worlds", "lights"), "poses": ("worlds", "lights", "poses"),
    "full": ("worlds", "lights", "poses", "sizes"),
}  # fmt: skip


def test_folders_make_a_ladder_that_is_kept_and_becomes_a_page(tmp_path: Path) -> None:
    folders = {name: glyphs(10, FREE[name], k, classes=6, name=name) for k, name in enumerate(("narrow", "poses"))}
    target = glyphs(12, ("poses",), 9, classes=6, name="turned")
    options = LadderOptions(seeds=2, unseen=2, budget=32)
    found = climb(folders, target, tmp_path, QUICK, options, QUIET)
    assert [plan.name for plan in found.plans] == ["narrow", "poses"]
    assert (len(found.trained), len(found.unseen), found.per_class) == (4, 2, 8)
    for runs in found.runs.values():
        assert [run.trained for run in runs] == [32, 32]
        assert all(len(run.target) == 48 and len(run.unseen) == 24 for run in runs)
        assert set(runs[0].factors) <= {"light", "camera_yaw", "scale"}
    study = ladder_study(found)
    assert study.headline.startswith("On turned ")
    assert study.facts["of them trained on"] == 0
    assert not any("among the training pictures" in note for note in study.notes)
    assert "'poses'" in study.headline
    study.save(tmp_path)
    assert Study.load(tmp_path).headline == study.headline
    page = write_report(study, tmp_path).read_text()
    assert "ImageNet-100, real" in page
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/run.json")}
    assert len(before) == 4
    again = climb(folders, target, tmp_path, QUICK, options, QUIET)
    assert again.runs == found.runs
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/run.json")} == before
    climb(
        folders, target, tmp_path, QUICK.changed(learning_rate=1e-3), LadderOptions(seeds=1, unseen=2, budget=32), QUIET
    )
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 6, "other settings are other trainings"


def test_rows_of_a_dataset_make_a_ladder_with_each_group_left_out(tmp_path: Path) -> None:
    source = mixed(5, 0)
    target = glyphs(6, ("poses",), 9, name="turned")
    options = LadderOptions(steps=("narrow", "poses", "full"), seeds=1, narrow=0.5, budget=24, unseen=2)
    found = climb(source, target, tmp_path, QUICK, options, QUIET)
    assert found.groups == {"worlds": ("world",), "lights": ("light",), "poses": ("camera_yaw",), "sizes": ("scale",)}
    assert [plan.without for plan in found.plans[3:]] == ["worlds", "lights", "poses", "sizes"]
    assert {one.name for one in group_gains(found)} == set(found.groups)
    worth = next(one for one in group_gains(found) if one.name == "poses")
    both = [np.mean([run.target for run in found.runs[name]]) for name in ("full", "without poses")]
    assert worth.estimate.value == pytest.approx(both[0] - both[1])
    step = gains(found)[0]
    assert (step.before, step.after) == ("narrow", "poses")
    ends = [target_accuracy(found, name).value for name in ("poses", "narrow")]
    assert step.estimate.value == pytest.approx(ends[0] - ends[1])
    narrow = LadderOptions(steps=("narrow", "poses", "full"), seeds=1, narrow=0.1, budget=24, unseen=2)
    with pytest.raises(DatasetError, match=r"step 'narrow' has \d .* With --narrow 0\.\d+ held factors keep"):
        climb(source, target, tmp_path, QUICK, narrow, QUIET)
    assert "Which factor's widening pays" in [section.title for section in ladder_study(found).sections]


def test_target_pictures_that_were_trained_on_are_told(tmp_path: Path) -> None:
    folders = {}
    for number, name in enumerate(("narrow", "poses")):
        for k, image in enumerate(glyphs(8, FREE[name], number, classes=3).iter_images()):
            path = tmp_path / name / f"glyph{k // 8}" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
        folders[name] = tmp_path / name
    copied = tmp_path / "copied"  # other names, the same bytes
    for k, path in enumerate(sorted((tmp_path / "poses").rglob("*.png"))):
        other = copied / path.parent.name / f"copy{k}.png"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(path.read_bytes())
    options = LadderOptions(seeds=1, unseen=0, budget=18)  # six of eight pictures of a class are trained on
    found = climb(folders, copied, tmp_path / "out", QUICK, options, QUIET)
    assert found.learnt == {"narrow": 0, "poses": 18}
    study = ladder_study(found)
    assert study.notes[0].startswith("18 of 24 target pictures are among the training pictures (by step: narrow 0, ")
    assert study.facts["of them trained on"] == 18
    assert study.notes[0][:50] in write_report(study, tmp_path / "out").read_text()


def test_an_encoder_with_a_projector_can_climb(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    recipe = EncoderTraining(method="simclr", backbone="test_resnet", size=32, head=(16, 8), epochs=1, batch_size=16)
    folders = {name: glyphs(8, FREE[name], k, classes=3, name=name) for k, name in enumerate(("narrow", "poses"))}
    options = LadderOptions(seeds=1, unseen=0, budget=18)
    found = climb(folders, glyphs(6, ("poses",), 9, classes=3), tmp_path, recipe, options, QUIET)
    assert all(len(run.own) == 6 for runs in found.runs.values() for run in runs)
    assert 0 <= target_accuracy(found, "poses").value <= 1


def test_a_target_of_other_classes_is_refused_and_unmatched_ones_are_told(tmp_path: Path) -> None:
    folders = {name: glyphs(8, FREE[name], k, classes=3, name=name) for k, name in enumerate(("narrow", "poses"))}
    from PIL import Image

    from torchmultiverse.store import ImageList

    other = ImageList([Image.new("RGB", (24, 24))] * 4, [{"label": name} for name in ("cup", "cup", "jug", "jug")])
    with pytest.raises(DatasetError, match=r"shares 0 classes .*--label-map"):
        climb(folders, other, tmp_path, QUICK, LadderOptions(seeds=1), QUIET)
    rows = [{"label": "far", "kind": f"glyph{k}"} for k in range(4)]
    renamed = ImageList([Image.new("RGB", (24, 24))] * 4, rows)
    with pytest.raises(DatasetError, match=r"--label-map .*, or --target-label kind, which has some of them"):
        climb(folders, renamed, tmp_path, QUICK, LadderOptions(seeds=1), QUIET)
    with pytest.raises(DatasetError, match=r"no step 'wrlds'.*Did you mean 'worlds'"):
        climb(mixed(40, 3), other, tmp_path, QUICK, LadderOptions(seeds=1, steps=("narrow", "wrlds")), QUIET)
    named = LadderOptions(seeds=1, budget=18, unseen=0, label_map={"cup": "glyph0", "jug": "glyph1"})
    found = climb(folders, other, tmp_path, QUICK, named, QUIET)
    assert found.target.common.tolist() == [0, 1]
    more = glyphs(6, (), 5, classes=5)
    found = climb(folders, more, tmp_path, QUICK, LadderOptions(seeds=1, budget=18, unseen=0), QUIET)
    assert found.unmatched == ("glyph3", "glyph4")
    assert len(found.runs["poses"][0].target) == 18, "unmatched classes are not among the target's answers"
    assert found.target.unseen is not None, "but can be probed as classes that were never trained on"
    with pytest.raises(DatasetError, match="needs 40 of each"):
        climb(folders, more, tmp_path, QUICK, LadderOptions(seeds=1, budget=120, unseen=0), QUIET)


@pytest.mark.slow
@pytest.mark.timeout(900)  # beside others it takes minutes
def test_where_only_pose_varies_on_the_target_the_pose_step_alone_gains(tmp_path: Path) -> None:
    recipe = QUICK.changed(epochs=15)
    folders = {name: glyphs(75, free, k, classes=6, name=name) for k, (name, free) in enumerate(FREE.items())}
    target = glyphs(40, ("poses",), 99, classes=6, name="turned")
    found = climb(folders, target, tmp_path, recipe, LadderOptions(seeds=2, unseen=0, budget=360), QUIET)
    by_step = {one.name: one for one in gains(found)}
    assert by_step["poses"].sure
    assert by_step["poses"].estimate.low > 0.2
    for name in ("worlds", "lights", "full"):
        assert not (by_step[name].sure and by_step[name].estimate.value > 0), name
        assert by_step[name].estimate.value < 0.1
    assert "step 'poses' pays most" in ladder_study(found).headline


@pytest.mark.slow
@pytest.mark.timeout(900)  # beside others it takes minutes
def test_where_only_pose_varies_holding_poses_alone_costs(tmp_path: Path) -> None:
    source, target = mixed(80, 3, classes=6), glyphs(40, ("poses",), 99, classes=6, name="turned")
    options = LadderOptions(steps=("narrow", "full"), seeds=2, unseen=0, narrow=0.2, budget=360)
    found = climb(source, target, tmp_path, QUICK.changed(epochs=12), options, QUIET)
    worth = {one.name: one.estimate for one in group_gains(found)}
    assert worth["poses"].value == max(one.value for one in worth.values())
    assert worth["poses"].low > 0
    assert all(worth[name].low <= 0 for name in ("worlds", "lights", "sizes"))
