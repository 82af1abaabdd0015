"""Where launch profiles are kept: one JSON file each, in the user's folder of settings."""

from __future__ import annotations

import os
import re
from pathlib import Path

from torchmultiverse.engines import engine_names
from torchmultiverse.errors import DatasetError, EngineError, SpecError, nearest, shortened
from torchmultiverse.profiles.profile import Profile
from torchmultiverse.resources import config_folder

CONFIG = "TORCHMULTIVERSE_CONFIG"
"""Environment variable with the folder of the user's settings."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NOT = re.compile(r".*(\.sh|\.json|\.)")
RIGHT = "small letters, digits, '-', '_' and '.', 63 at most, a letter or digit first; it does not end in .sh or .json"


def profiles_folder() -> Path:
    """Return the folder of the profiles, which need not exist: ``engines`` in the folder of the user's settings."""
    return config_folder("engines")


def profile_path(name: str) -> Path:
    """Return the file of a profile, which need not exist.

    Raises:
        SpecError: a name that no profile can have.
    """
    if not _NAME.fullmatch(name) or _NOT.fullmatch(name):
        raise SpecError(f"{shortened(name)} is no name of a launch profile: {RIGHT}")
    return profiles_folder() / f"{name}.json"


def profile_names() -> list[str]:
    """Return the names of the profiles that are there, but those that an installed engine has as well."""
    taken = engine_names()
    found = (path.name.removesuffix(".json") for path in profiles_folder().glob("*.json") if path.is_file())
    return sorted(name for name in found if _NAME.fullmatch(name) and name not in taken)


def strange_profiles() -> list[tuple[str, str]]:
    """Return names of what lies where profiles are and can be none, such as a folder ``x.json``, and why."""
    found = sorted(path for path in profiles_folder().glob("*.json") if not path.is_file())
    return [(path.name.removesuffix(".json"), _no_file(path)) for path in found]


def folder_problem() -> str | None:
    """Return why there can be no profiles where they are looked for; None where there can."""
    for folder in (profiles_folder(), profiles_folder().parent):
        if folder.exists() and not folder.is_dir():
            return f"{folder} is no folder, so that there can be no launch profiles; {_elsewhere()}"
    return None


def _elsewhere() -> str:
    """Return how profiles can be kept in another folder."""
    if os.environ.get(CONFIG):
        return f"{CONFIG} says so: let it name a folder that can be written, or unset it"
    return f"the variable {CONFIG} may name another folder"


def _no_file(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to nothing; take it away"
    return f"{path} is {'a folder' if path.is_dir() else 'no file'}; take it away"


def is_profile(name: str) -> bool:
    """Whether a name is that of a profile; names of installed engines are theirs."""
    return bool(_NAME.fullmatch(name)) and name not in engine_names() and (profiles_folder() / f"{name}.json").is_file()


def load_profile(name: str) -> Profile:
    """Return a profile.

    Raises:
        EngineError: there is none of that name (says the nearest), or its file cannot be used.
    """
    if not is_profile(name):
        if wrong := folder_problem() or dict(strange_profiles()).get(name):
            raise EngineError(f"no launch profile {shortened(name)}: {wrong}")
        names = profile_names()
        known = nearest(name, names) if names else " There are none; torchmultiverse engine add makes one."
        raise EngineError(f"no launch profile {shortened(name)}.{known}")
    try:
        return Profile.load(profile_path(name))
    except DatasetError as error:
        raise EngineError(f"{error}; torchmultiverse engine remove {name} takes it away") from None


def save_profile(name: str, profile: Profile, *, replace: bool = False) -> Path:
    """Keep a profile, whole or not at all; return its file.

    Args:
        name: of the profile.
        profile: what is kept.
        replace: whether one of that name may be there.

    Raises:
        SpecError: a name that is none, an installed engine's, or already there.
        EngineError: the folder cannot be written.
    """
    path = profile_path(name)
    if name in engine_names():
        raise SpecError(f"'{name}' is an engine that is installed, and stays it: take another name")
    if (path.exists() or path.is_symlink()) and not path.is_file():
        raise EngineError(_no_file(path))
    if path.exists() and not replace:
        raise SpecError(
            f"the launch profile '{name}' is there: torchmultiverse engine edit {name} --set … changes it, "
            "--replace makes it anew"
        )
    try:
        return profile.save(path)
    except DatasetError as error:
        raise EngineError(f"{error} ({_elsewhere()})") from None


def remove_profile(name: str) -> None:
    """Take a profile away.

    Raises:
        SpecError: a name that is none.
        EngineError: there is none of that name, or it cannot be removed.
    """
    path = profile_path(name)
    if path.is_dir() and not path.is_symlink():
        raise EngineError(_no_file(path))
    try:
        path.unlink()
    except FileNotFoundError:
        names = profile_names()
        raise EngineError(f"no launch profile '{name}'.{nearest(name, names) if names else ''}") from None
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}") from None
