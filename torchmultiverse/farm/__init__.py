"""Many scenes through many engines into one dataset."""

from torchmultiverse.farm.parts import join
from torchmultiverse.farm.plan import Plan, plan
from torchmultiverse.farm.run import GenerateReport, generate

__all__ = ["GenerateReport", "Plan", "generate", "join", "plan"]
