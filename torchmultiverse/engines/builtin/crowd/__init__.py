"""More objects than the two that have factors of their own: those of a scene's list, and distractors."""

from torchmultiverse.engines.builtin.crowd.detail import Detail, coarser
from torchmultiverse.engines.builtin.crowd.further import FIRST, further_actors
from torchmultiverse.engines.builtin.crowd.instances import FurtherInstances

__all__ = ["FIRST", "Detail", "FurtherInstances", "coarser", "further_actors"]
