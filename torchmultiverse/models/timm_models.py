"""timm models, as classifiers or, without a head, as encoders."""

from __future__ import annotations

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.contract import Model, ModelInfo
from torchmultiverse.models.hub import weights_from_hub
from torchmultiverse.models.modules import ModuleClassifier, ModuleEncoder
from torchmultiverse.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

_CROPS = {"center": "shortest", "squash": "squash", "border": "longest"}


def load_timm(rest: str) -> Model:
    """Return the model of ``NAME``, ``NAME/random`` or ``NAME//FILE``; ``NAME`` may carry timm's tag, ``a.b``.

    A model without a classification head, such as a self-supervised one, is an encoder.

    Raises:
        ModelError: unknown model, or weights that cannot be had.
        MissingExtra: timm is not installed.
    """
    timm = tools.need("timm", "a timm model")
    name, slash, path = tools.name_tag_file(rest)
    if slash not in ("", "random"):
        raise ModelError(f"'timm:{rest}': write timm:{name}, timm:{name}/random or timm:{name}//FILE")
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(f"timm has no model '{architecture}'.{nearest(architecture, timm.list_models())}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ModelError(f"timm has no weights '{tag}' of {architecture}.{nearest(tag, tags)}")
    if path or slash:
        module = tools.seeded(lambda: timm.create_model(name, pretrained=False))
        if path:
            tools.fill(module, path)
    else:
        with weights_from_hub(f"timm {name}", f"name a file: timm:{name}//path/to/checkpoint.pth"):
            module = timm.create_model(name, pretrained=True)
    # The size of training, as everywhere but in timm's own validate.py, which takes test_input_size where there is one.
    config = timm.data.resolve_data_config({}, model=module)
    channels, height, width = config["input_size"]
    if channels != 3:
        raise ModelError(f"'timm:{rest}' sees {channels} channels; pictures here have 3")
    mean = tools.triple(config["mean"], IMAGENET_MEAN)
    headed = int(getattr(module, "num_classes", 0) or 0)
    return (ModuleClassifier if headed else ModuleEncoder)(
        module,
        ModelInfo(
            f"timm:{rest}",
            "classifier" if headed else "encoder",
            Preprocess(
                (height, width),
                _CROPS[config["crop_mode"]],  # type: ignore[arg-type]
                float(config["crop_pct"]),
                config["interpolation"],
                mean,
                tools.triple(config["std"], IMAGENET_STD),
                tuple(round(255 * v) for v in mean) if config["crop_mode"] == "border" else 0,  # type: ignore[arg-type]
            ),
            weights=path or slash or str(module.pretrained_cfg.get("tag") or "pretrained"),
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"timm {timm.__version__}, {name}",
            embedding=headed or int(module.num_features),
            license=str(module.pretrained_cfg.get("license") or ""),
        ),
    )
