"""What every part of a protocol file is: immutable, and without fields that mean nothing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A part of a protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)
