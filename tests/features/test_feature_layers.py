"""Layers: which points of a model are cuts, and what is read there.

What could silently be wrong: a point that a skip connection goes round is called a cut, another layer's output under
this layer's name, or features that depend on who else was in the batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.cache import FeatureCache
from torchmultiverse.features.extract import factor_names, features_of
from torchmultiverse.features.layers import OUTPUT, LayerExtractor, choose, last_of_trunk, layers_of
from torchmultiverse.models import ModelInfo, Preprocess, as_model, load_model
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.store import ImageList
from torchmultiverse.store.image_folder import ImageFolder

torch = pytest.importorskip("torch")


class Skipping(torch.nn.Module):
    """One block with a skip connection round its inside; a stem and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.act = torch.nn.ReLU(inplace=True)
        self.inside = torch.nn.Conv2d(6, 6, 3, padding=1)
        self.block = torch.nn.Identity()
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.drop = torch.nn.Dropout(0.5)
        self.head = torch.nn.Linear(6, 4)

    def forward(self, x):  # type: ignore[no-untyped-def]
        x = self.act(self.stem(x))
        x = self.block(x + self.inside(x))
        return self.head(self.drop(self.pool(x).flatten(1)))


def small() -> ModuleClassifier:
    torch.manual_seed(0)
    module = Skipping()
    info = ModelInfo("small", "classifier", Preprocess((16, 16), "squash"), weights_sha256=weights_hash(module))
    return ModuleClassifier(module, info, ["a", "b", "c", "d"])


def pictures(count: int, size: int = 16) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)) for _ in range(count)]


def test_a_skip_connection_is_not_cut_and_each_point_is_listed_once() -> None:
    layers = layers_of(small())
    assert [layer.name for layer in layers] == ["stem", "act", "block", "pool", "head"]
    assert [layer.size for layer in layers] == [6, 6, 6, 6, 4]
    assert all(layer.cut for layer in layers)
    every = {layer.name: layer for layer in layers_of(small(), every=True)}
    assert not every["inside"].cut


def test_cuts_hold_all_that_comes_later() -> None:
    """The definition itself: with the cut's output of picture A put into a pass of picture B, the end is that of A."""
    model = load_model("timm:resnet10t/random")
    for module in model.module.modules():  # timm begins with residual branches that are zero, and so carry nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    first, second = (model.batch([picture]) for picture in pictures(2, 64))
    for layer in layers_of(model, every=True)[::3]:
        if layer.name == OUTPUT:
            continue
        module = model.module.get_submodule(layer.name)
        kept = []
        handle = module.register_forward_hook(lambda _, __, output, kept=kept: kept.append(output.clone()))
        with torch.no_grad():
            wanted = model.forward(first)
        handle.remove()
        handle = module.register_forward_hook(lambda _, __, output, kept=kept: kept[0])
        with torch.no_grad():
            found = model.forward(second)
        handle.remove()
        assert torch.allclose(found, wanted, atol=1e-6) == layer.cut, layer.name


@pytest.mark.parametrize(
    "name", ["timm:vit_tiny_patch16_224/random", "open_clip:RN50/random", "torchvision:swin_t/random"]
)
def test_real_architectures_have_their_blocks_as_cuts(name: str) -> None:
    model = load_model(name)
    names = [layer.name for layer in layers_of(model)]
    last = {"timm": "blocks.11", "open_clip": "visual.layer4.2", "torchvision": "features.7"}[name.split(":")[0]]
    assert last in names
    assert not any("attn" in one or "mlp" in one or "downsample.0" in one for one in names)
    seen = LayerExtractor(model, [names[-1]])(pictures(2, 64))[0]
    output = model.encode_image(pictures(2, 64)) if name.startswith("open_clip") else model.logits(pictures(2, 64))
    seen = seen / np.linalg.norm(seen, axis=1, keepdims=True) if name.startswith("open_clip") else seen
    np.testing.assert_allclose(seen, output, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "last"), [("timm:resnet10t/random", "global_pool"), ("timm:test_vit/random", "fc_norm")]
)
def test_the_last_of_the_trunk_is_no_logits_whatever_the_head_is_called(name: str, last: str) -> None:
    """A head by another name (``fc``) was the trunk's last layer: units and Q-Scores were of logits."""
    assert last_of_trunk(load_model(name)) == last


def test_values_are_those_of_the_layer_before_what_follows_changes_them_in_place() -> None:
    model = small()
    images = pictures(3)
    stem, act, pool = LayerExtractor(model, ["stem@max", "act", "pool"])(images)
    with torch.no_grad():
        raw = model.module.stem(model.batch(images))
        np.testing.assert_allclose(stem, raw.amax((2, 3)).numpy(), rtol=1e-6)
        np.testing.assert_allclose(act, raw.clamp(0).mean((2, 3)).numpy(), rtol=1e-5)
    assert (raw < 0).any()
    assert pool.shape == (3, 6)


def test_tokens_are_averaged_or_the_first_is_taken() -> None:
    model = load_model("timm:vit_tiny_patch16_224/random")
    mean, first = LayerExtractor(model, ["blocks.3", "blocks.3@cls"])(pictures(2, 32))
    kept = []
    model.module.blocks[3].register_forward_hook(lambda _, __, output: kept.append(output))
    model.logits(pictures(2, 32))
    np.testing.assert_allclose(mean, kept[0].mean(1).numpy(), atol=1e-5)
    np.testing.assert_allclose(first, kept[0][:, 0].numpy(), atol=1e-5)


def test_bad_names_are_told_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"no layer 'blok'.*block"):
        choose(small(), ["blok"])
    with pytest.raises(ModelError, match="pooling is mean, cls, max"):
        choose(small(), ["block@sum"])


# What could silently be wrong: a model of one's own code that is refused, or whose layers are not those of its module.


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(4, 5),
    )  # fmt: skip


class Holder:
    """An object with a module inside, as own code often has it."""

    def __init__(self) -> None:
        self.net = net().eval()

    def encode_image(self, images: list[Image.Image]) -> np.ndarray:
        batch = np.stack([np.asarray(image.resize((16, 16)), np.float32) / 255 for image in images])
        with torch.no_grad():
            return self.net(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()


def test_a_plain_function_has_its_output_as_the_one_layer() -> None:
    model = as_model(lambda images: np.stack([np.asarray(image.resize((2, 2))).reshape(-1) for image in images]))
    layers = layers_of(model)
    assert [(layer.name, layer.size, layer.cut) for layer in layers] == [("output", 12, True)]
    (found,) = LayerExtractor(model, choose(model))(pictures(3))
    np.testing.assert_allclose(found, model.logits(pictures(3)))
    with pytest.raises(ModelError, match=r"no layer 'trunk'.*none but 'output'.*as_model"):
        choose(model, ["trunk"])
    with pytest.raises(ModelError, match="a class that is made of 4 arguments"):
        load_model("python:torchmultiverse.models.HistogramBaseline")
    assert layers_of(as_model(Holder))[0].size == 5  # a class of none is made
    with pytest.raises(ModelError, match="pictures and captions together"):
        layers_of(as_model(lambda images, captions: np.zeros((len(images), len(captions)))))


def test_a_module_of_ones_own_gives_its_layers() -> None:
    model = as_model(net(), preprocess=Preprocess((16, 16), "squash"))
    assert [layer.name for layer in layers_of(model)] == ["0", "1", "2", "4"]
    stem, end = LayerExtractor(model, ["0", "output"])(pictures(3))
    assert stem.shape == (3, 4)
    np.testing.assert_allclose(end, model.logits(pictures(3)), rtol=1e-5)
    named = as_model(lambda: model, name="mine")  # as python:MODULE:FUNCTION loads it
    assert named.info.name == "mine" != model.info.name
    assert [layer.name for layer in layers_of(named)] == ["0", "1", "2", "4"]


def test_an_object_that_holds_a_module_gives_its_layers_by_name() -> None:
    model, holder = as_model(Holder()), Holder()
    assert [layer.name for layer in layers_of(model)] == ["output"]
    assert [layer.name for layer in layers_of(model, every=True)] == ["0", "1", "2", "3", "4", "output"]
    first, end = LayerExtractor(model, choose(model, ["1@max", "output"]))(pictures(3))
    assert first.shape == (3, 4)
    np.testing.assert_allclose(end, holder.encode_image(pictures(3)), rtol=1e-5)


class Counted(ImageFolder):
    """Counts how often pictures are read."""

    reads = 0

    def image_bytes(self, index: int) -> bytes:
        self.reads += 1
        return super().image_bytes(index)


def test_each_picture_passes_once_for_all_layers_and_never_again(tmp_path: Path) -> None:
    for label, (place, picture) in zip("ababab", enumerate(pictures(6)), strict=True):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        picture.save(tmp_path / "data" / label / f"{place}.png")
    folder, model = Counted(tmp_path / "data"), small()
    passes = []
    model.module.register_forward_hook(lambda _, inputs, __: passes.append(len(inputs[0])))
    store = FeatureCache(tmp_path / "kept")
    first = features_of(model, folder, ["stem", "pool"], store, quiet=True)
    assert sum(passes) == 6
    again = features_of(model, folder, ["pool", "stem"], store, quiet=True)
    assert sum(passes) == 6
    more = features_of(model, folder, ["stem", "head"], store, quiet=True)
    assert sum(passes) == 12
    np.testing.assert_array_equal(first.layers["pool"], again.layers["pool"])
    np.testing.assert_allclose(more.layers["head"], model.logits(list(folder.iter_images())), atol=1e-6)
    assert first.columns["label"].tolist() == ["a", "a", "a", "b", "b", "b"]


def test_the_same_features_without_a_store_and_one_by_one(tmp_path: Path) -> None:
    rows = [{"label": "ab"[k % 2]} for k in range(5)]
    kept = features_of(small(), ImageList(pictures(5), rows), quiet=True)
    alone = features_of(small(), ImageList(pictures(5), rows), quiet=True, batch_size=1)
    for layer in kept.layers:
        np.testing.assert_allclose(kept.layers[layer], alone.layers[layer], atol=1e-6)
    drawn = features_of(small(), ImageList(pictures(5), rows), quiet=True, limit=3)
    np.testing.assert_array_equal(drawn.layers["head"], kept.layers["head"][drawn.rows])


def test_factors_are_columns_that_vary_each_once() -> None:
    rows = [
        {
            "world_name": w,
            "world_clean": w.lower(),
            "world_label": w[::-1],
            "size": s,
            "constant": 1,
            "note": f"{w}{s}{k}",
        }
        for k, (w, s) in enumerate([("Desert", 1), ("Forest", 1), ("Desert", 2), ("Forest", 2), ("Desert", 3)])
    ]
    features = features_of(small(), ImageList(pictures(5), rows), ["head"], quiet=True)
    assert factor_names(features) == ["world_name", "size"]
    with pytest.raises(DatasetError, match=r"no column 'world'.*world_name"):
        factor_names(features, ["world"])
    with pytest.raises(DatasetError, match="'constant' is the same"):
        factor_names(features, ["constant"])
