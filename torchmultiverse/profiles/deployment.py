"""Files that run a launch profile elsewhere: a Slurm script, a Dockerfile, Kubernetes manifests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.profiles.profile import Profile, as_text, made

Target = Literal["slurm", "docker", "kubernetes"]
TARGETS: tuple[Target, ...] = get_args(Target)
_FILES: dict[Target, str] = {
    "slurm": "{name}.sbatch", "docker": "Dockerfile.{name}", "kubernetes": "{name}.yaml"
}  # fmt: skip
_GAME = PurePosixPath("/opt/game")
"""Where the packaged project is in the image."""
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,254}")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is rendered, and on how many machines.

    Attributes:
        spec: file or name of a spec.
        data: folder of the dataset.
        tasks: jobs or pods, each with a part of the dataset and all instances of the profile.
        image: of the container; by default the profile's name.

    Raises:
        SpecError: one of them cannot be.
    """

    spec: str = "spec.json"
    data: str = "data"
    tasks: int = 1
    image: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.tasks <= 10_000:
            raise SpecError(f"tasks = {self.tasks}: 1 to 10,000")
        for name in ("spec", "data"):
            value = getattr(self, name)
            if not value or not value.isprintable():
                raise SpecError(f"{name} = {value!r}: a path of characters that can be printed")
        if self.image and not _IMAGE.fullmatch(self.image):
            raise SpecError(f"image = {self.image!r}: letters, digits and ._/:@- are right, as registry/name:tag")


def file_name(name: str, target: Target) -> str:
    """Return what the file of a profile is called by default."""
    return _FILES[target].format(name=name)


def template(name: str, profile: Profile, target: str, deployment: Deployment | None = None) -> str:
    """Return the file that runs a launch profile somewhere.

    Args:
        name: of the profile.
        profile: it; its cards are numbered anew from 0, as a job or a container sees them.
        target: ``slurm`` (a script for ``sbatch``), ``docker`` (a Dockerfile), or ``kubernetes`` (manifests).
        deployment: what is rendered there.

    Raises:
        SpecError: an unknown target.
    """
    if target not in TARGETS:
        raise SpecError(f"{target!r} is no target of a template.{nearest(target, TARGETS)}")
    what = deployment or Deployment()
    script = PurePosixPath(profile.script)
    cards = max(len(profile.gpus), 1)
    there = profile if target == "slurm" else made(**{**profile.model_dump(), "script": str(_GAME / script.name)})
    there = made(**{**there.model_dump(), "gpus": list(range(len(profile.gpus)))})
    spec, data = _places(what, target)
    render = ["torchmultiverse", "render", spec, "--out", data, "--engine", name]
    label = re.sub(r"[._]", "-", name).strip("-")
    text: str = _environment().get_template(f"{target}.j2").render(
        name=name, label=label, file=file_name(name, target), tasks=what.tasks, cards=cards,
        instances=profile.instances, image=what.image or label, folder=script.parent.name or "Linux",
        game=str(_GAME), add=shlex.join(_add(name, there)), document=_document(there),
        render=shlex.join(render[1:] if target == "docker" else render),
        join=shlex.join(["torchmultiverse", "farm", "join", data]),
        spec_file=shlex.quote(what.spec) if what.spec.endswith(".json") else "",
        arguments=[*render[1:], f"--part=$(JOB_COMPLETION_INDEX)/{what.tasks}"],
    )  # fmt: skip
    return text


def _places(what: Deployment, target: str) -> tuple[str, str]:
    """Return where spec and data are on the machine that renders."""
    if target != "kubernetes":
        return what.spec, what.data
    spec = "/etc/spec/spec.json" if what.spec.endswith(".json") else what.spec
    return spec, f"/data/{PurePosixPath(what.data).name or 'data'}"


def _add(name: str, profile: Profile) -> Sequence[str]:
    """Return the command that makes the profile anew."""
    words = ["torchmultiverse", "engine", "add", name, profile.script, "--replace"]
    words += ["--gpus", as_text(profile, "gpus")] if profile.gpus else []
    words += ["--per-gpu", str(profile.per_gpu)] if profile.per_gpu > 1 else []
    usual = made(script=profile.script)
    for field in Profile.model_fields:
        if field not in ("script", "gpus", "per_gpu") and getattr(profile, field) != getattr(usual, field):
            words += ["--set", f"{field}={as_text(profile, field)}"]
    return words


def _document(profile: Profile) -> str:
    usual = made(script=profile.script)
    data = profile.model_dump(mode="json")
    changed = {key: value for key, value in data.items() if getattr(profile, key) != getattr(usual, key)}
    return json.dumps({"schema_version": Profile.version, "script": profile.script, **changed}, indent=1)


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).with_name("templates")
    # No page: what is put in is quoted for the shell or as JSON.
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["json"] = json.dumps
    return environment
