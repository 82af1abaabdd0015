"""What to render: factors, scenes, designs, specs, captions. Pure: reads JSON, knows no engine and no torch."""

from torchmultiverse.spec.captions import (
    BLANK,
    CAPTIONS,
    animals_caption,
    captions,
    hard_negative,
    spar_caption,
    spoken,
)
from torchmultiverse.spec.design import Design, Drawn, Explicit, Factorial, expanded, one_at_a_time
from torchmultiverse.spec.factors import FACTORS, FAMILY_COLUMNS, Factor, FactorTable, Value
from torchmultiverse.spec.scene import Scene, canonical_json, scene_seed
from torchmultiverse.spec.spec import (
    PASSES,
    RenderSettings,
    Spec,
    json_schema,
    load_spec,
    parse_spec,
    shipped_specs,
    spec_path,
)
from torchmultiverse.spec.splits import Splits
from torchmultiverse.spec.where import Condition, parse_where

__all__ = [
    "BLANK",
    "CAPTIONS",
    "FACTORS",
    "FAMILY_COLUMNS",
    "PASSES",
    "Condition",
    "Design",
    "Drawn",
    "Explicit",
    "Factor",
    "FactorTable",
    "Factorial",
    "RenderSettings",
    "Scene",
    "Spec",
    "Splits",
    "Value",
    "animals_caption",
    "canonical_json",
    "captions",
    "expanded",
    "hard_negative",
    "json_schema",
    "load_spec",
    "one_at_a_time",
    "parse_spec",
    "parse_where",
    "scene_seed",
    "shipped_specs",
    "spar_caption",
    "spec_path",
    "spoken",
]
