"""Many scenes through many engines into one dataset."""

from torchmultiverse.farm.parts import join
from torchmultiverse.farm.plan import Plan, plan
from torchmultiverse.farm.report import GenerateReport
from torchmultiverse.farm.run import GenerateOptions, generate

__all__ = ["GenerateOptions", "GenerateReport", "Plan", "generate", "join", "plan"]
