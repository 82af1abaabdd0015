"""More objects than the two that have factors of their own: those of a scene's list, and distractors."""

from torchmultiverse.engines.builtin.crowd.crowd import Crowd
from torchmultiverse.engines.builtin.crowd.detail import Detail, coarser
from torchmultiverse.engines.builtin.crowd.distractors import ANY, KINDS, width_of
from torchmultiverse.engines.builtin.crowd.further import FIRST, further_actors

__all__ = ["ANY", "FIRST", "KINDS", "Crowd", "Detail", "coarser", "further_actors", "width_of"]
