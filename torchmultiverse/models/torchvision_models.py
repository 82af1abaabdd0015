"""torchvision's classifiers, and models of torch.hub repositories."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.contract import Model, ModelInfo
from torchmultiverse.models.hub import weights_from_hub
from torchmultiverse.models.modules import ModuleClassifier, ModuleEncoder
from torchmultiverse.models.preprocess import Preprocess

IMAGENET = 1000


def load_torchvision(rest: str) -> ModuleClassifier:
    """Return the classifier of ``NAME``, ``NAME/WEIGHTS``, ``NAME/random`` or ``NAME//FILE``.

    Raises:
        ModelError: unknown model or weights, or weights that cannot be had.
        MissingExtra: torchvision is not installed.
    """
    models: Any = tools.need("torchvision", "a torchvision model").models
    name, tag, path = tools.name_tag_file(rest)
    known = models.list_models(module=models)
    if name not in known:
        raise ModelError(f"torchvision has no classifier '{name}'.{nearest(name, known)}")
    offered = {member.name: member for member in models.get_model_weights(name)}
    if tag not in ("", "random", "DEFAULT", *offered):
        raise ModelError(f"torchvision has no weights '{tag}' of {name}.{nearest(tag, offered)}")
    default = models.get_model_weights(name).DEFAULT
    weights = offered.get(tag, default)
    if path or tag == "random":
        module = tools.seeded(lambda: models.get_model(name, weights=None))
        if path:
            tools.fill(module, path)
    else:
        with weights_from_hub(f"torchvision {name}", f"name a file: torchvision:{name}//path/to/checkpoint.pth"):
            module = models.get_model(name, weights=weights)
    transform = weights.transforms()
    (crop,), (resize,) = transform.crop_size, transform.resize_size
    classes = tuple(weights.meta["categories"])
    return ModuleClassifier(
        module,
        ModelInfo(
            f"torchvision:{rest}",
            "classifier",
            Preprocess(
                (crop, crop),
                "shortest",
                crop / resize,
                transform.interpolation.value,
                tools.triple(transform.mean, (0.0, 0.0, 0.0)),
                tools.triple(transform.std, (1.0, 1.0, 1.0)),
            ),
            weights=path or (tag if tag == "random" else weights.name),
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"torchvision, {name}, preprocessing of {weights.name}",
            embedding=len(classes),
        ),
        None if len(classes) == IMAGENET else classes,
    )


def load_hub(rest: str) -> Model:
    """Return the model of ``OWNER/REPO:NAME``, or of ``FOLDER:NAME`` for a repository on this machine.

    The preprocessing is that of most ImageNet models (224 out of 256, bilinear); say another one with options. What
    returns 1000 numbers is a classifier, anything else an encoder.

    Raises:
        ModelError: no such repository or model, or one that was never trusted: torch.hub runs a repository's code.
        MissingExtra: torch is not installed.
    """
    torch = tools.need("torch", "torch.hub")
    repository, colon, name = rest.rpartition(":")
    if not colon or not repository or not name:
        raise ModelError(f"'hub:{rest}': write hub:OWNER/REPO:NAME or hub:FOLDER:NAME")
    local = Path(repository).expanduser()
    source = "local" if local.is_dir() else "github"
    _check_repository(local, repository, name)
    instead = "clone the repository and name its folder: hub:FOLDER:NAME"
    try:
        with weights_from_hub(f"torch.hub {rest}", instead):
            module = tools.seeded(
                lambda: torch.hub.load(str(local) if source == "local" else repository, name, source=source)
            )
    except EOFError:
        raise ModelError(
            f"torch.hub runs the code of {repository}, which was never trusted on this machine; "
            f"load it once by hand with trust_repo=True, or {instead}"
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise ModelError(f"hub:{rest} is a {type(module).__name__}, not a module")
    preprocess = Preprocess((224, 224), "shortest", 224 / 256, "bilinear")
    parameter = next(module.parameters(), torch.zeros(()))
    with torch.inference_mode():
        shape = tuple(module.eval().float()(torch.zeros(1, 3, 224, 224, device=parameter.device)).shape)
    if len(shape) != 2:
        raise ModelError(f"hub:{rest} returns shape {shape} for one picture; one vector is needed")
    kind: Any = "classifier" if shape[1] == IMAGENET else "encoder"
    return (ModuleClassifier if kind == "classifier" else ModuleEncoder)(
        module,
        ModelInfo(
            f"hub:{rest}",
            kind,
            preprocess,
            weights=source,
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"torch.hub, {name} of {repository}",
            embedding=shape[1],
        ),
    )


def _check_repository(local: Path, repository: str, name: str) -> None:
    """Say what a repository lacks before anything of it is run.

    Raises:
        ModelError: no such repository, or a folder that does not offer the model.
    """
    if not local.is_dir():
        if repository.count("/") != 1:
            raise ModelError(f"no folder {local}, and '{repository}' is no OWNER/REPO")
        return
    if not (local / "hubconf.py").is_file():
        raise ModelError(f"{local} holds no hubconf.py")
    parsed = ast.parse((local / "hubconf.py").read_text(encoding="utf-8"))
    names = [node.name for node in parsed.body if isinstance(node, ast.FunctionDef)]
    imported = [node for node in parsed.body if isinstance(node, ast.ImportFrom)]
    names += [alias.asname or alias.name for node in imported for alias in node.names]
    if name not in names:
        raise ModelError(f"{local} offers no '{name}'.{nearest(name, names)}")
