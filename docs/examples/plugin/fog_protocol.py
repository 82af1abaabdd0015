"""A protocol, `fog`: which colour has the square, and is it day or night?"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Prompts, Protocol, Task, multiple_choice

ASKED = {"colour": ("character_texture", "a {} square"), "time": ("world_name", "a photo taken at {}")}


class FogProtocol(Protocol):
    """One task for each question; accuracy is broken down by the density of the fog."""

    name: str = "fog"
    version: int = 1
    title: str = "What is seen through fog"
    description: str = "How thick may fog be before a model no longer answers?"

    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        """Return the tasks that the columns of a dataset allow."""
        for column in ("fog_density", *(column for column, _ in ASKED.values())):
            if column not in columns:
                raise DatasetError(f"protocol 'fog': the dataset has no column '{column}'")
        fog = columns["fog_density"].astype(str).astype(object)
        return [
            multiple_choice(
                task,
                range(len(fog)),
                [str(answer).lower() for answer in columns[column]],
                title=task.capitalize(),
                prompts=Prompts(name="one sentence", templates=(sentence,)),
                factors={"fog_density": (fog,)},
            )
            for task, (column, sentence) in ASKED.items()
        ]
