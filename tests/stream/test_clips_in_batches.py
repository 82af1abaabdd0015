"""Clips into training. What can be silently wrong: frames of two clips in one item, out of order, at another stride; a
label of the first frame that stands for all; flow of another frame; readers that share clips, and a resumed epoch that
shows a clip twice or never."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
import torch
from stage import FOCAL, Listed, Stage, listed_spec, spec
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.stream import ClipDataset, Clips, ClipStream

PASSES = ["mask", "depth", "flow_forward", "track"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("clips") / "d"
    generate(spec(), out, Stage, progress=False, check=0)
    return out


def stream(**more):
    return ClipStream(spec(), Stage, **({"size": 32, "window": 5, "prefetch": 7, "clips": Clips(length=3)} | more))


def names(item):
    return item["clip"], item["frame"].tolist()


def yaws(item):
    """Yaws that the pictures show."""
    return (item["video"][:, 2, 0, 0] * 255 / 2).round().tolist()


def test_items_are_windows_of_one_clip_with_labels_by_frame_or_by_clip(folder):
    data = ClipDataset(folder, Clips(length=3))
    assert len(data) == 8
    assert len({item["clip"] for item in data}) == 4
    for k, item in enumerate(data):
        assert item["video"].shape == (3, 3, 32, 32)
        assert item["video"].dtype == torch.float32
        first = 3 * (k % 2)
        assert item["frame"].tolist() == [first, first + 1, first + 2]
        np.testing.assert_allclose(item["frame_time"], item["frame"] / 6, atol=1e-6)
        np.testing.assert_allclose(item["camera_yaw"], item["frame"] * 5)
        assert yaws(item) == item["camera_yaw"].tolist()
        assert isinstance(item["world_name"], str)
        assert item["valid"].all()


def test_strides_steps_and_ends(folder):
    assert [names(item)[1] for item in ClipDataset(folder, Clips(length=2, stride=3, step=1))][:3] == [
        [0, 3],
        [1, 4],
        [2, 5],
    ]
    padded = ClipDataset(folder, Clips(length=4, rest="pad"))
    assert [names(item)[1] for item in padded][:2] == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert padded[1]["valid"].tolist() == [True, True, False, False]
    assert len(ClipDataset(folder, Clips(length=4))) == 4
    with pytest.raises(DatasetError, match="no clip has 9 frames, 1 apart; the longest has 6"):
        ClipDataset(folder, Clips(length=9))
    with pytest.raises(SpecError, match="numbers from 1"):
        Clips(length=0)


@pytest.mark.parametrize("name", ["flow_forward", "flow_backward", "hidden_forward"])
def test_flow_past_frames_that_are_left_out_is_refused(folder, name):
    # Silently wrong: flow of the dataset is to the frame beside, which a longer stride leaves out of the item.
    with pytest.raises(SpecError, match=f"'{name}' .* a stride of 2 leaves out: use stride=1, or"):
        ClipDataset(folder, Clips(length=2, stride=2), columns=["depth", name])
    with pytest.raises(SpecError, match=f"'{name}' .* a stride of 3 leaves out: use stride=1, or"):
        stream(passes=[name], clips=Clips(length=2, stride=3))
    assert len(ClipDataset(folder, Clips(length=2, stride=2), columns=["depth", "track"])) == 4


def test_a_repeated_frame_has_no_flow(folder):
    # Silently wrong: flow of the dataset, of a frame that moves no more in the item; a stream has none there.
    names = ["flow_forward", "flow_backward"]
    item = ClipDataset(folder, Clips(length=3, rest="pad"), columns=names, where="frame < 4")[1]
    assert item["frame"].tolist() == [3, 3, 3]
    assert [np.isnan(item[name][1:]).all() for name in names] == [True, True]
    assert not np.isnan(item["flow_backward"][0]).all()


def test_missing_frames_are_said_where_they_leave_no_item(folder):
    missing = "the longest has 4, and frames are missing in 4 clips, 8 in all, such as number 2"
    with pytest.raises(DatasetError, match=f"no clip has 3 frames, 1 apart; {missing} .* a length of up to 2 is"):
        ClipDataset(folder, Clips(length=3), where="frame in (0, 1, 4, 5)")
    with pytest.raises(DatasetError, match=r"3 frames, .* 4 in all, such as number 1 .*; with step=1 there are items"):
        ClipDataset(folder, Clips(length=3), where="frame in (0, 2, 3, 4)")
    some = {**spec()["design"], "only": ["Frame in (0, 1, 3)"]}
    with pytest.raises(SpecError, match=r"3 frames, .* 4 in all, such as number 2 .* a length of up to 2 is"):
        ClipStream(spec(design=some), Stage, size=32, clips=Clips(length=3))


def test_lists_of_objects_are_text(tmp_path):
    # Arrow cannot compare lists of structs: no item could be made.
    generate(listed_spec(), tmp_path / "d", Listed, progress=False, check=0)
    batch = next(iter(DataLoader(ClipDataset(tmp_path / "d", Clips(length=3)), batch_size=4)))
    assert sorted(set(map(len, map(json.loads, batch["objects"])))) == [0, 1]
    with ClipStream(listed_spec(), Listed, size=32, clips=Clips(length=3)) as live:
        assert {item["objects"] for item in live} == set(batch["objects"])


def test_a_missing_frame_is_in_no_item(folder):
    data = ClipDataset(folder, Clips(length=2, step=1), where="frame != 3")
    assert [names(item)[1] for item in data][:3] == [[0, 1], [1, 2], [4, 5]]


def test_passes_come_as_tensors_of_the_clip(folder):
    item = ClipDataset(folder, Clips(length=2), columns=PASSES)[0]
    assert {name: item[name].shape for name in PASSES} == {
        "mask": (2, 32, 32), "depth": (2, 32, 32), "flow_forward": (2, 2, 32, 32), "track": (2, 32, 32),
    }  # fmt: skip
    u = (np.arange(32) + 0.5 - 16) / FOCAL
    closed = (np.tan(np.arctan(u) - np.radians(5)) - u) * FOCAL
    np.testing.assert_allclose(item["flow_forward"][0, 0, 16], closed, atol=1e-2)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_b_t_c_h_w(folder, workers):
    loader = DataLoader(
        ClipDataset(folder, Clips(length=3), columns=[*PASSES, "camera_yaw"]), batch_size=4, num_workers=workers
    )
    batch = next(iter(loader))
    assert batch["video"].shape == (4, 3, 3, 32, 32)
    assert batch["flow_forward"].shape == (4, 3, 2, 32, 32)
    assert batch["camera_yaw"].shape == (4, 3)
    assert len(batch["clip"]) == 4


def test_a_transform_sees_the_whole_clip(folder):
    item = ClipDataset(folder, Clips(length=3), transform=lambda video: video[:, :, :16, :8])[0]
    assert item["video"].shape == (3, 3, 16, 8)


def test_a_dataset_of_pictures_has_no_clips(tmp_path):
    generate({"World_Name": ["Desert"]}, tmp_path / "d", Stage, size=32, progress=False)
    with pytest.raises(DatasetError, match="has no clips"):
        ClipDataset(tmp_path / "d")


def test_live_clips_are_those_of_the_dataset(folder):
    stored = {}
    for item in ClipDataset(folder, Clips(length=3), columns=[*PASSES, "camera_yaw"]):
        stored[item["clip"], item["frame"][0]] = item
    with stream(passes=PASSES) as live:
        items = list(live)
    assert sorted((item["clip"], item["frame"][0]) for item in items) == sorted(stored)
    for item in items:
        other = stored[item["clip"], item["frame"][0]]
        torch.testing.assert_close(item["video"], other["video"])
        np.testing.assert_allclose(item["camera_yaw"], other["camera_yaw"])
        for name in ("mask", "depth", "track"):
            np.testing.assert_array_equal(item[name], other[name])
        np.testing.assert_allclose(item["flow_forward"][:2], other["flow_forward"][:2], atol=1e-3)
        assert np.isnan(item["flow_forward"][2]).all()  # its next frame is in another item
        assert item.keys() >= {"world_name", "frame_time", "valid", "scene_id", "weight"}


def test_the_order_is_drawn_anew_for_each_epoch_and_depends_on_the_seed_alone():
    with stream() as live, stream(prefetch=3, workers=2) as other:
        first, second = [names(item) for item in live], [names(item) for item in live]
        assert sorted(first) == sorted(second)
        assert first != second
        assert first == [names(item) for item in other]


def test_readers_share_clips_without_overlap():
    loader = DataLoader(stream(), batch_size=None, num_workers=2)
    found = sorted(names(item) for item in loader)
    assert len(found) == 8
    with stream() as live:
        assert found == sorted(names(item) for item in live)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_goes_on_with_the_next_clip(workers):
    def loader():
        return StatefulDataLoader(stream(), batch_size=None, num_workers=workers)

    whole = [names(item) for item in loader()]
    begun = loader()
    seen = [names(item) for item in islice(begun, 3)]
    state = begun.state_dict()
    again = loader()
    again.load_state_dict(state)
    assert seen + [names(item) for item in again] == whole


def test_a_clip_with_a_frame_that_fails_is_left_out():
    with ClipStream(spec(), lambda: Stage(fails=(20.0,)), size=32, clips=Clips(length=3), on_failure="skip") as live:
        assert [names(item)[1] for item in live] == [[0, 1, 2]] * 4
        assert len(live.failures) == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"passes": ["flow_forwrd"]}, "unknown pass 'flow_forwrd'"),
        ({"passes": ["flow_forward"], "clips": Clips(length=2, stride=2)}, "a stride of 2 leaves out"),
        ({"clips": Clips(length=7)}, "no clip has 7 frames, 1 apart; the longest has 6"),
        ({"record": "x"}, "render' makes a dataset of them"),
    ],
)
def test_what_cannot_be_is_said(more, said):
    with pytest.raises(SpecError, match=said):
        stream(**more)


def test_a_stream_of_pictures_has_no_clips():
    with pytest.raises(SpecError, match="needs a design of the kind 'video'"):
        ClipStream({"World_Name": ["Desert"]}, Stage)
