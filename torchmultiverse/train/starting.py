"""The encoder that a training starts from, in place of random weights: fine-tuning.

What was memorized of the pictures of fine-tuning is asked as of any training: C. Meehan et al., *Do SSL models have
déjà vu?*, NeurIPS 2023, appendix C.3.5, fine-tunes 20 epochs with labels on the pictures of the first training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchmultiverse.errors import ModelError, SettingError
from torchmultiverse.json_text import read_json
from torchmultiverse.models import ENCODER_CONFIG, load_model
from torchmultiverse.train.settings import COSINE, EncoderTraining

if TYPE_CHECKING:
    import torch

_BACKBONE = ("backbone", "backbone_width", "backbone_depth")


@dataclass(frozen=True)
class Start:
    """A trained encoder whose weights are the first ones.

    Attributes:
        name: of its folder, with the epoch of a kept checkpoint.
        weights_sha256: of its tensors.
        state: its tensors, by name.
    """

    name: str
    weights_sha256: str
    state: dict[str, torch.Tensor]

    def written(self) -> dict[str, str]:
        """Return what a configuration says of it."""
        return {"encoder": self.name, "weights_sha256": self.weights_sha256}

    def fill(self, module: torch.nn.Module) -> None:
        """Put the weights of the trunk, and of the head where the module has one, into a module.

        Raises:
            ModelError: names or shapes differ.
        """
        wanted = module.state_dict().keys()
        try:
            module.load_state_dict({name: tensor for name, tensor in self.state.items() if name in wanted})
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()[1:3]]
            raise ModelError(f"encoder {self.name} does not fit this training: {' '.join(lines)[:300]}") from error


def start_from(source: str | Path, training: EncoderTraining) -> Start:
    """Read the encoder that a training starts from.

    Args:
        source: folder of an encoder that was trained here, or ``FOLDER@EPOCH`` of a kept checkpoint; ``ssl:`` may stand
            before it.
        training: of the same backbone and head; one without a head takes the trunk alone.

    Raises:
        ModelError: no such encoder, or another backbone or head; all that differs is named.
    """
    place = str(source).removeprefix("ssl:")
    model: Any = load_model(f"ssl:{place}")
    folder = Path(place if Path(place, ENCODER_CONFIG).is_file() else place.rpartition("@")[0])
    held = read_json((folder / ENCODER_CONFIG).read_text("utf-8"))
    wrong = _differences(held, training)
    if wrong:
        raise SettingError(f"{place} cannot be the start of this training: " + "; ".join(wrong))
    epoch = place.removeprefix(str(folder))
    return Start(
        folder.resolve().name + epoch, str(model.info.weights_sha256),
        {name: tensor.detach().cpu().clone() for name, tensor in model.module.state_dict().items()},
    )  # fmt: skip


def taken_over(source: str | Path, training: EncoderTraining) -> EncoderTraining:
    """Return settings in which backbone, head and size, where they are at their defaults, are those of an encoder.

    Args:
        source: see `start_from`, which refuses what is no encoder.
        training: what is to be fine-tuned, and how.
    """
    place = str(source).removeprefix("ssl:")
    files = (Path(one, ENCODER_CONFIG) for one in (place, place.rpartition("@")[0]) if one)
    file = next((one for one in files if one.is_file()), None)
    if file is None:
        return training
    held, fields = read_json(file.read_text("utf-8")), EncoderTraining.model_fields
    same = {
        name: held[name] for name in (*_BACKBONE, "head", "size")
        if name in held and getattr(training, name) == fields[name].default
    }  # fmt: skip
    return training.changed(**same)


def _differences(held: dict[str, Any], training: EncoderTraining) -> list[str]:
    """Return what of an encoder differs from what is to be trained, and what would be right."""
    fields = EncoderTraining.model_fields
    found = []
    for name in _BACKBONE:
        theirs, ours = held.get(name, fields[name].default), getattr(training, name)
        if theirs != ours:
            found.append(f"its {name} is {theirs}, here it is {ours} (--{name.replace('_', '-')} {theirs})")
    if "vit" in training.backbone and held.get("size") != training.size:
        found.append(f"its size is {held.get('size')}, here it is {training.size} (--size {held.get('size')})")
    prefix = int(held.get("ddm_prefix", 0)) if held.get("ddm") else 0
    ours_prefix = training.ddm_prefix if training.ddm else 0
    if prefix != ours_prefix and training.head:
        found.append(f"its head leaves out a prefix of {prefix} numbers, here of {ours_prefix}")
    theirs_head = [int(wide) for wide in held.get("head", ())]
    if training.head and theirs_head != list(training.head):
        word = "-".join(map(str, theirs_head)) or "none"
        mine = "-".join(map(str, training.head))
        found.append(f"its head is {word}, here it is {mine} (--head {word}; --head none takes the trunk alone)")
    spherical = str(held.get("method", "")).startswith("trex")
    if training.head and spherical != (training.method in COSINE):
        kinds = ("of unit vectors" if one else "of plain ones" for one in (spherical, not spherical))
        found.append(f"its head is made for {held.get('method')}, {next(kinds)}; that of {training.method} is "
                     f"{next(kinds)} (--head none takes the trunk alone)")  # fmt: skip
    return found
