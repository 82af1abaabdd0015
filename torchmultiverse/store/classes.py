"""What the numbers of classes in a dataset mean, of one dataset and of several together."""

from __future__ import annotations

from collections.abc import Sequence

from torchmultiverse.engines import CharacterClass
from torchmultiverse.errors import DatasetError
from torchmultiverse.store.manifest import Manifest

CLASS = "class"
"""The column of the pass."""


def joint_classes(manifests: Sequence[Manifest], names: Sequence[str], numbered: bool) -> list[CharacterClass]:
    """Return the classes of several datasets put together; none where one of them does not say its own.

    Args:
        manifests: of the datasets.
        names: of the datasets, for errors.
        numbered: whether the pass ``class`` is among what is put together.

    Raises:
        DatasetError: a number of the pass means one class here and another there.
    """
    found: dict[int, CharacterClass] = {}
    origin: dict[int, str] = {}
    if not all(manifest.classes for manifest in manifests):
        return []
    for manifest, name in zip(manifests, names, strict=True):
        for one in manifest.classes:
            known = found.setdefault(one.id, one)
            if (known.kind, known.name) != (one.kind, one.name):
                if not numbered:
                    return []
                raise DatasetError(
                    f"merge: class {one.id} is '{known.name}' in {origin[one.id]} and '{one.name}' in {name}: numbers "
                    "after the package's table are given by each engine to the characters of its packs. Render both "
                    "with the same packs"
                )
            origin.setdefault(one.id, name)
            together = dict.fromkeys([*known.characters, *one.characters])
            found[one.id] = known.model_copy(update={"characters": list(together)})
    return [found[number] for number in sorted(found)]
