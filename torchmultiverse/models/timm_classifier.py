"""timm models as classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.base import ModelInfo
from torchmultiverse.models.hub import weights_from_hub
from torchmultiverse.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, FloatArray, Images, Preprocess

if TYPE_CHECKING:
    import torch

_CROPS = {"center": "shortest", "squash": "squash", "border": "longest"}


class TimmClassifier:
    """Any timm model with a classification head.

    Args:
        module: pictures (N, 3, H, W) to logits (N, C).
        info: the model's facts; its preprocessing is applied.
        classes: names of the logits; ``None`` means the 1000 of ImageNet.
    """

    def __init__(self, module: torch.nn.Module, info: ModelInfo, classes: Sequence[str] | None = None) -> None:
        assert info.preprocess is not None
        self.device = tools.device()
        self.module = module.to(self.device).float().eval()
        self.classes = classes
        self._preprocess = info.preprocess
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        return self._info

    def logits(self, images: Images) -> FloatArray:
        """Return (N, C)."""
        import torch

        with torch.inference_mode():
            return tools.out_of(self.module(tools.batch_of(self._preprocess, images, self.device)))


def load_timm(rest: str) -> TimmClassifier:
    """Return the model of ``NAME``, ``NAME/random`` or ``NAME//FILE``; ``NAME`` may carry timm's tag, ``a.b``.

    Raises:
        ModelError: unknown model, or weights that cannot be had.
        MissingExtra: timm is not installed.
    """
    timm = tools.need("timm", "a timm model")
    import torch

    name, double, path = rest.partition("//")
    slash = ""
    if not double:
        name, _, slash = rest.partition("/")
    if slash not in ("", "random"):
        raise ModelError(f"'timm:{rest}': write timm:{name}, timm:{name}/random or timm:{name}//FILE")
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(f"timm has no model '{architecture}'.{nearest(architecture, timm.list_models())}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ModelError(f"timm has no weights '{tag}' of {architecture}.{nearest(tag, tags)}")
    if double or slash:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = timm.create_model(name, pretrained=False)
        if double:
            tools.fill(module, path)
    else:
        with weights_from_hub(f"timm {name}", f"name a file: timm:{name}//path/to/checkpoint.pth"):
            module = timm.create_model(name, pretrained=True)
    config = timm.data.resolve_data_config({}, model=module)
    _, height, width = config["input_size"]
    return TimmClassifier(
        module,
        ModelInfo(
            f"timm:{rest}",
            "classifier",
            Preprocess(
                (height, width),
                _CROPS[config["crop_mode"]],  # type: ignore[arg-type]
                float(config["crop_pct"]),
                config["interpolation"],
                tools.triple(config["mean"], IMAGENET_MEAN),
                tools.triple(config["std"], IMAGENET_STD),
            ),
            weights=path or slash or str(module.pretrained_cfg.get("tag") or "pretrained"),
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"timm {timm.__version__}, {name}",
        ),
    )
