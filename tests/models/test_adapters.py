"""What could silently be wrong: an adapter whose vectors depend on the batch, are not of unit length, or come from a
picture that was not preprocessed as declared; weights that are not those asked for. Real architectures, random weights.
"""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models import Classifier, ImageTextModel, Preprocess, Scorer, as_model, load_model

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")
timm = pytest.importorskip("timm")

from torchmultiverse.models.clip import ClipModel  # noqa: E402
from torchmultiverse.models.tiny import build_tiny, save_tiny, tiny_config  # noqa: E402
from torchmultiverse.models.torch_tools import name_tag_file, weights_hash  # noqa: E402


def _pictures(count: int = 5) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)) for _ in range(count)]


CAPTIONS = ["This is a photo of a Zebra", "This is a photo of a GiantTortoise on the left of the picture"]


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    model = load_model("open_clip:RN50/random")
    assert isinstance(model, ClipModel)
    return model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny_config(64)
    module, _ = build_tiny(config, 0)
    return save_tiny(tmp_path_factory.mktemp("tiny"), module, "tiny", config, {"seed": 0, "pictures": 0})


@pytest.fixture(params=["open_clip", "tiny"])
def image_text(request: pytest.FixtureRequest, clip: ClipModel, tiny: Path) -> ImageTextModel:
    model = clip if request.param == "open_clip" else load_model(f"tiny:{tiny}")
    assert isinstance(model, ImageTextModel)
    return model


def test_vectors_do_not_depend_on_the_batch(image_text: ImageTextModel) -> None:
    pictures = _pictures()
    together = image_text.encode_image(pictures)
    apart = np.concatenate([image_text.encode_image([picture]) for picture in pictures])
    np.testing.assert_allclose(together, apart, atol=1e-5)
    texts = np.concatenate([image_text.encode_text([caption]) for caption in CAPTIONS])
    np.testing.assert_allclose(image_text.encode_text(CAPTIONS), texts, atol=1e-5)


def test_vectors_have_unit_length_and_differ(image_text: ImageTextModel) -> None:
    for vectors in (image_text.encode_image(_pictures()), image_text.encode_text(CAPTIONS)):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-4


def test_the_declared_preprocessing_is_what_the_library_would_do(clip: ClipModel) -> None:
    _, _, transform = open_clip.create_model_and_transforms("RN50", pretrained=None)
    picture = _pictures(1)[0]
    with torch.inference_mode():
        expected = clip.module.encode_image(transform(picture)[None].to(clip.device)).float().cpu().numpy()
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(clip.encode_image([picture]), expected, atol=1e-5)
    assert clip.info.preprocess is not None
    assert clip.info.preprocess.size == (224, 224)


def test_facts_of_a_model(clip: ClipModel) -> None:
    assert clip.info.name == "open_clip:RN50/random"
    assert clip.info.parameters is not None
    assert clip.info.parameters > 100e6
    assert clip.info.weights_sha256 == weights_hash(clip.module)
    assert clip.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)


def test_timm(tmp_path: Path) -> None:
    model = load_model("timm:resnet18/random")
    assert isinstance(model, Classifier)
    pictures = _pictures()
    logits = model.logits(pictures)
    assert logits.shape == (5, 1000)
    np.testing.assert_allclose(logits, np.concatenate([model.logits([p]) for p in pictures]), atol=1e-4)
    module = timm.create_model("resnet18", pretrained=False).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=module))
    torch.save({"state_dict": module.state_dict()}, tmp_path / "a.pth")
    loaded = load_model(f"timm:resnet18//{tmp_path / 'a.pth'}")
    assert isinstance(loaded, Classifier)
    with torch.inference_mode():
        expected = module(transform(pictures[0])[None]).numpy()
    np.testing.assert_allclose(loaded.logits(pictures[:1]), expected, atol=1e-4)
    assert loaded.info.weights_sha256 == weights_hash(module)
    assert loaded.info.weights_sha256 != model.info.weights_sha256


def test_timms_border_reaches_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights with `crop_mode="border"` cannot be had here; their configuration can."""
    config = timm.get_pretrained_cfg("resnet18").to_dict() | {"crop_mode": "border", "crop_pct": 0.9}
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **more: create(name, pretrained_cfg=config, **more))
    model = load_model("timm:resnet18/random")
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model.module))
    picture = _pictures(1)[0].resize((300, 90))
    np.testing.assert_allclose(model.info.preprocess([picture])[0], transform(picture).numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("negclip", "open_clip:ViT-B-32//"),
        ("NegCLIP:coco", "open_clip:ViT-B-32//"),
        ("blip:base-coco", "hf:Salesforce/blip-itm-base-coco"),
        ("x-vlm:coco", "X-VLM is in no library.*python:MODULE:FUNCTION"),
    ],
)
def test_models_of_published_tables_say_how_they_load(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(spec)


@pytest.mark.slow
def test_negclip_loads_as_it_was_published(tmp_path: Path) -> None:
    """A checkpoint of open_clip's training for ViT-B-32, which has GELU: with QuickGELU it loads as well, and errs."""
    module = open_clip.create_model("ViT-B-32", pretrained=None)
    with torch.no_grad():
        module.visual.proj.mul_(1.5)
    state = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    optimizer = torch.optim.AdamW(module.parameters()).state_dict()
    torch.save({"epoch": 4, "name": "x", "state_dict": state, "optimizer": optimizer}, tmp_path / "negclip.pth")
    model = load_model(f"open_clip:ViT-B-32//{tmp_path / 'negclip.pth'}")
    assert isinstance(model, ClipModel)
    assert model.info.weights_sha256 == weights_hash(module)
    assert not any(type(part).__name__ == "QuickGELU" for part in model.module.modules())
    transform = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(module)), is_train=False
    )
    picture = _pictures(1)[0]
    np.testing.assert_allclose(model.info.preprocess([picture])[0], transform(picture).numpy(), atol=2e-6)


def test_the_untrained_twin_has_the_shape_and_nothing_else(tiny: Path) -> None:
    one, two = load_model(f"tiny:{tiny}"), load_model(f"tiny:{tiny}/random")
    assert one.info.parameters == two.info.parameters
    assert one.info.weights_sha256 != two.info.weights_sha256
    assert two.info.weights == "random"
    assert load_model(f"tiny:{tiny}/random").info.weights_sha256 == two.info.weights_sha256


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet50", "no model string"),
        ("open_clp:RN50/random", "Did you mean 'open_clip'"),
        ("open_clip:RN-50/random", "Did you mean 'RN50'"),
        ("open_clip:RN50", "which weights of RN50"),
        ("open_clip:RN50/yfcc15", "Did you mean 'yfcc15m'"),
        ("open_clip:RN50//nothing.pt", "no checkpoint at nothing.pt"),
        ("timm:resnet5", "Did you mean"),
        ("timm:resnet50/x", "timm:resnet50/random"),
        ("timm:resnet50.a9_in1k", "Did you mean"),
        ("tiny:nowhere", "holds no small CLIP"),
        ("python:nowhere_at_all:f", "nowhere_at_all"),
        ("python:json:dumpz", "has no 'dumpz'. Did you mean"),
    ],
)
def test_names_that_mean_nothing(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(spec)


@pytest.mark.parametrize("spec", ["open_clip:ViT-B-32/laion2b_s34b_b79k", "open_clip:RN50/openai", "timm:resnet18"])
def test_without_a_network_the_error_is_quick_and_says_what_to_do(
    spec: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    before = time.process_time()
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set, and they are not in the cache .*//path/to") as error:
        load_model(spec)
    assert "\n" not in str(error.value)
    assert time.process_time() - before < 30
    assert constants.HF_HUB_OFFLINE is False, "the setting is given back"


def test_an_unreachable_hub_is_found_out_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    from torchmultiverse.models import hub

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub.hub_reachable.cache_clear()
    for _ in range(2):
        with pytest.raises(ModelError, match=r"http://127.0.0.1:9 cannot be reached"):
            load_model("timm:resnet18")
    assert hub.hub_reachable.cache_info().misses == 1
    hub.hub_reachable.cache_clear()


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(ModelError, match="no checkpoint of tensors alone"):
        load_model(f"open_clip:RN50//{path}")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="does not fit"):
        load_model(f"timm:resnet18//{path}")


def test_callables_by_their_arguments() -> None:
    def logits(images):
        assert isinstance(images[0], Image.Image)
        return torch.ones(len(images), 3)

    def score(images, captions):
        return np.zeros((len(images), len(captions)))

    classifier = as_model(logits, classes=["a", "b", "c"])
    assert isinstance(classifier, Classifier)
    assert classifier.info.name == "logits"
    assert classifier.logits(_pictures(2)).shape == (2, 3)
    scorer = as_model(score, name="mine")
    assert isinstance(scorer, Scorer)
    assert scorer.score(_pictures(2), CAPTIONS).shape == (2, 2)
    factory = as_model(lambda: score)
    assert isinstance(factory, Scorer)
    with pytest.raises(ModelError, match="takes 3 arguments"):
        as_model(lambda a, b, c: None)
    with pytest.raises(ModelError, match="a int is no model"):
        as_model(3)


def test_a_torch_module_declares_its_preprocessing() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    with pytest.raises(ModelError, match="needs its preprocessing"):
        as_model(module)
    model = as_model(module, classes=list("abcd"), preprocess=Preprocess((8, 8), "squash"))
    assert isinstance(model, Classifier)
    assert model.logits(_pictures(3)).shape == (3, 4)


def test_an_object_with_both_encoders_is_an_image_text_model() -> None:
    class Mine:
        name = "mine"

        def encode_image(self, images):
            return torch.full((len(images), 4), 2.0)

        def encode_text(self, texts):
            return np.full((len(texts), 4), 3.0)

    model = as_model(Mine())
    assert isinstance(model, ImageTextModel)
    assert model.info.name == "mine"
    np.testing.assert_allclose(np.linalg.norm(model.encode_image(_pictures(2)), axis=1), 1, atol=1e-6)


def test_a_module_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_models_for_this_test.py").write_text("def mine(images):\n    return [[0.0, 1.0]] * len(images)\n")
    monkeypatch.chdir(tmp_path)
    model = load_model("python:my_models_for_this_test:mine")
    assert isinstance(model, Classifier)
    assert model.logits(_pictures(2)).tolist() == [[0, 1], [0, 1]]


def test_the_path_of_a_checkpoint_may_be_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.pt"
    file.touch()
    inner = str(file).lstrip("/")
    assert name_tag_file(f"resnet18//{file}") == ("resnet18", "", str(file))
    assert name_tag_file(f"resnet18/{file}") == ("resnet18", "", str(file)), "a slash, and the path"
    monkeypatch.chdir(tmp_path)
    (tmp_path / inner).parent.mkdir(parents=True)
    (tmp_path / inner).touch()
    assert name_tag_file(f"resnet18//{inner}") == ("resnet18", "", inner), "as documented where both are there"
    with pytest.raises(ModelError, match=r"no checkpoint at no/b.pt \(below .*\), nor at /no/b.pt"):
        name_tag_file("resnet18//no/b.pt")
