"""What a dataset may be used for.

The published PUG data are under CC-BY-NC and must not be used to train generative models (datasheet in appendix D of
the PUG chapter). Whatever is imported from them, or merged with them, carries that, and tools that would break it ask
`require_generative_use` first.
"""

from __future__ import annotations

from collections.abc import Iterable

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.manifest import Manifest, Terms

PUG = Terms(name="CC-BY-NC-4.0", generative=False, source="the published PUG datasets (FAIR at Meta)")


def licence_of(manifest: Manifest) -> Terms:
    """Return the terms of a dataset.

    A rendered dataset has the licences of its assets, which are named in the manifest.
    """
    if manifest.license is not None:
        return manifest.license
    names = sorted({asset.license or "unknown" for asset in manifest.assets})
    return Terms(name=", ".join(names) or "unknown", generative=True, source="rendered")


def joint(terms: Iterable[Terms]) -> Terms:
    """Return the terms of a dataset made of several: every licence named, and the strictest rule.

    >>> joint([Terms(name="MIT", source="ours"), PUG]).name
    'MIT, CC-BY-NC-4.0'
    """
    listed = list(terms)
    return Terms(
        name=", ".join(dict.fromkeys(part for term in listed for part in term.name.split(", "))),
        generative=all(term.generative for term in listed),
        source="; ".join(dict.fromkeys(term.source for term in listed)),
    )


def require_generative_use(manifest: Manifest, place: str, override: str | None = None) -> None:
    """Refuse to train a generative model on data whose licence forbids it.

    Args:
        manifest: of the dataset.
        place: what to call the dataset in the error.
        override: the dataset's licence, by name, from a user who has other rights.

    Raises:
        DatasetError: the licence forbids it and was not named.
    """
    terms = licence_of(manifest)
    if terms.generative or override == terms.name:
        return
    refused = f"'{override}' is not its licence; " if override is not None else ""
    raise DatasetError(
        f"{place} is from {terms.source}, under {terms.name}: generative models must not be trained on it. "
        f"{refused}who holds other rights names the licence: '{terms.name}'"
    )
