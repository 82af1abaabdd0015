"""The pack ``objaverse``: models of Objaverse for the published classes, by the categories that LVIS gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torchmultiverse.assets.fetched import check_classes, fetched_character
from torchmultiverse.assets.folder import name_in_words
from torchmultiverse.assets.library import Item, Pack, install
from torchmultiverse.assets.licences import allowed, check_licences
from torchmultiverse.assets.objaverse import LvisMatch, Objaverse, SketchfabModel, candidates
from torchmultiverse.assets.request import BuildRequest
from torchmultiverse.errors import AssetError
from torchmultiverse.progress import progress_bar
from torchmultiverse.web import ServiceError

NAME = "objaverse"
OF_EACH_CLASS = 5
"""Assets, where no other number is asked for."""
_SPARE = 3
"""Records that are looked at for each asset that is wanted, before more are."""
_ROUNDS = 4

Choice = tuple[SketchfabModel, LvisMatch]


def build(request: BuildRequest) -> tuple[Pack, list[str]]:
    """Make the pack; return it, and a line for each class and object that was left out.

    The assets of a class are called ``CLASS_1``, ``CLASS_2``, …, in the order in which LVIS lists them.

    Raises:
        AssetError: nothing of what is asked for can be had, or what is asked for cannot be meant.
        ServiceError: the Hub cannot be used now.
        MissingExtra: huggingface_hub is not installed.
    """
    check_licences(request.licenses)
    classes = check_classes(request.classes)
    job = _Build(request)
    pack = install(NAME, job.items(classes), request.out)
    return pack, job.left_out


@dataclass
class _Build:
    request: BuildRequest
    left_out: list[str] = field(default_factory=list)
    objaverse: Objaverse = field(default_factory=Objaverse)

    def items(self, classes: Sequence[str]) -> Iterator[tuple[Item, bytes]]:
        """Yield the assets, class by class."""
        limit = self.request.limit or OF_EACH_CLASS
        listed = candidates(self.objaverse.categories(), classes, self.request.wider)
        self.left_out += [f"{name}: LVIS has no category of it" for name in classes if name not in listed]
        chosen = self._chosen(listed, limit)
        if not any(chosen.values()):
            raise AssetError(f"Objaverse has nothing of what is asked for: {'; '.join(self.left_out[:3])}")
        total = sum(min(limit, len(some)) for some in chosen.values())
        with progress_bar(self.request.quiet) as bar:
            task = bar.add_task(f"fetching {total} assets", total=total, unit="assets")
            for name, some in chosen.items():
                count = 0
                for model, match in some:
                    if count == limit:
                        break
                    try:
                        item = self._item(f"{name}_{count + 1}", name, model, match)
                    except ServiceError:
                        raise
                    except AssetError as error:
                        self.left_out.append(str(error))
                    else:
                        count += 1
                        bar.advance(task)
                        yield item

    def _chosen(self, listed: dict[str, list[tuple[str, LvisMatch]]], limit: int) -> dict[str, list[Choice]]:
        """Return the objects of each class that may be taken, in the order of LVIS, a few more than are wanted.

        What is known of an object lies in one of 160 large files, so that records are read for all classes at once, and
        for more objects of a class only where the first were too few.
        """
        chosen: dict[str, list[Choice]] = {name: [] for name in listed}
        at, step = 0, limit * _SPARE
        for _ in range(_ROUNDS):
            part = {name: some[at : at + step] for name, some in listed.items() if len(chosen[name]) < limit}
            if not any(part.values()):
                break
            uids = [uid for some in part.values() for uid, _ in some]
            records = {record.uid: record for record in self.objaverse.records(uids)}
            for name, some in part.items():
                pairs = ((records[uid], match) for uid, match in some if uid in records)
                chosen[name] += [(record, match) for record, match in pairs if not self._refusal(record)]
            at, step = at + step, step * 3
        short = {name: len(some) for name, some in chosen.items() if len(some) < limit}
        self.left_out += [
            f"{name}: {count} of {limit}; among the first {min(at, len(listed[name])):,} of {len(listed[name]):,} no "
            "others have the licence, size and faces that are asked for"
            for name, count in short.items()
        ]
        return chosen

    def _refusal(self, record: SketchfabModel) -> bool:
        request = self.request
        return (
            not allowed(record.spdx, request.licenses)
            or (record.size or 0) > request.max_bytes
            or (record.triangles is not None and not 0 < record.triangles <= request.max_triangles)
        )

    def _item(self, name: str, of: str, model: SketchfabModel, match: LvisMatch) -> tuple[Item, bytes]:
        facts = {
            "name": name,
            "class_name": of,
            "display_name": model.name or name_in_words(of),
            "license": model.spdx,
            "attribution": model.author,
            "source": model.page,
        }
        item, data = fetched_character(
            self.objaverse.glb(model.uid, self.request.max_bytes), facts, self.request.max_triangles
        )
        if match.wider:
            note = f"its category of LVIS, '{match.category}', holds other things than the class too: look at it"
            item = item.model_copy(update={"notes": [*item.notes, note]})
        return item, data
