"""Datasets on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.manifest import Manifest

_BESIDE = (
    "README.md", "manifest.json", "croissant.json", "samples.jpg", "failed.jpg", "quality.json", "leakage.json"
)  # fmt: skip


def files_to_push(path: Path) -> list[Path]:
    """Return the files of a finished dataset that go to the Hub.

    Raises:
        DatasetError: no dataset, or one that is not finished.
    """
    manifest = Manifest.load(path)
    if not manifest.shards:
        raise DatasetError(f"{path}: no dataset with a manifest")
    if not manifest.complete:
        raise DatasetError(f"{path} is not finished; the command that renders it continues it")
    files = [path / name for name in _BESIDE if (path / name).is_file()]
    files += [path / "data" / name for name in sorted(manifest.shards)]
    lacking = [file for file in files if not file.is_file()]
    if lacking:
        raise DatasetError(f"{lacking[0]} is missing; see: torchmultiverse data verify {path}")
    return files


def push(path: Path, repository: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Send a finished dataset to a dataset repository; return its address.

    What the repository holds of another version of it goes: Parquet files in ``data/``, and what lies beside the card,
    that this one does not have. A reader would take its rows for some of this one.

    The token is the one of ``hf auth login``, or of the environment variable ``HF_TOKEN``.

    Args:
        path: folder of the dataset.
        repository: ``owner/name``; made where there is none.
        private: of a repository that is made now.
        endpoint: address of another Hub.

    Raises:
        DatasetError: not finished, no token, no way to the Hub, or a refusal by it.
    """
    files = files_to_push(path)
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
    except ImportError:
        raise DatasetError("push needs the Hub's client: pip install 'torchmultiverse[datasets]'") from None
    api = HfApi(endpoint=endpoint)
    names = [str(file.relative_to(path)) for file in files]
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, repo_type="dataset", folder_path=path, allow_patterns=names,
            delete_patterns=["data/*.parquet", *_BESIDE], commit_message=f"{len(names)} files of {path.name}",
        )  # fmt: skip
    except HFValidationError as error:
        raise DatasetError(f"'{repository}': {error}") from None
    except LocalTokenNotFoundError:
        raise DatasetError("the Hub wants a token: run 'hf auth login', or set HF_TOKEN") from None
    except Exception as error:  # whatever the client's transport calls it
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise DatasetError(f"{repository} could not be sent to {api.endpoint}: {text[0]}") from error
    return f"{api.endpoint}/datasets/{repository}"
