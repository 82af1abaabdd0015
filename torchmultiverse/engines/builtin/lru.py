"""The last few values by key."""

from __future__ import annotations

import gc
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any


@dataclass
class LruCache:
    """The last few values by key. ``cyclic`` ones refer to themselves: their memory is fetched back at once."""

    size: int
    cyclic: bool = False
    values: OrderedDict[Any, Any] = field(default_factory=OrderedDict)

    def get(self, key: Any, make: Any) -> Any:
        """Return the value of a key, made by ``make`` where it is not there."""
        if key in self.values:
            self.values.move_to_end(key)
            return self.values[key]
        while len(self.values) >= self.size:
            self.values.popitem(last=False)
            if self.cyclic:
                gc.collect()
        value = self.values[key] = make()
        return value
