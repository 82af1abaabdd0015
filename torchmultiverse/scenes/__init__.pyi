from .ar4t import BACKGROUNDS as BACKGROUNDS
from .ar4t import SYNONYMS as SYNONYMS
from .captions import CAPTIONS as CAPTIONS
from .captions import animals_caption as animals_caption
from .captions import caption_columns as caption_columns
from .captions import hard_negative as hard_negative
from .captions import spar_caption as spar_caption
from .conditions import CONDITIONS as CONDITIONS
from .conditions import OWN as OWN
from .design import Design as Design
from .design import Explicit as Explicit
from .design import Factorial as Factorial
from .design import LazyDesign as LazyDesign
from .design import expanded as expanded
from .factors import FACTORS as FACTORS
from .factors import FAMILY_COLUMNS as FAMILY_COLUMNS
from .factors import LIGHTS as LIGHTS
from .factors import Factor as Factor
from .factors import FactorTable as FactorTable
from .factors import Value as Value
from .factors import level_name as level_name
from .families import FAMILIES as FAMILIES
from .families import published_levels as published_levels
from .implied import BLANK as BLANK
from .implied import implied_labels as implied_labels
from .object_list import MOST_OBJECTS as MOST_OBJECTS
from .object_list import SceneObject as SceneObject
from .object_list import column_rows as column_rows
from .object_list import from_columns as from_columns
from .object_list import listed as listed
from .scene import Scene as Scene
from .scene import canonical_json as canonical_json
from .scene import scene_seed as scene_seed
from .scene import setting_seed as setting_seed
from .semantics import ObjectAsset as ObjectAsset
from .semantics import SemanticClass as SemanticClass
from .semantics import class_of as class_of
from .semantics import class_table as class_table
from .semantics import classes_of as classes_of
from .semantics import in_class_order as in_class_order
from .semantics import object_assets as object_assets
from .semantics import said_name as said_name
from .spec import CLIP_PASSES as CLIP_PASSES
from .spec import PASSES as PASSES
from .spec import RenderSettings as RenderSettings
from .spec import Spec as Spec
from .spec import json_schema as json_schema
from .spec import load_spec as load_spec
from .spec import mentioned_levels as mentioned_levels
from .spec import parse_spec as parse_spec
from .spec import shipped_specs as shipped_specs
from .spec import spec_path as spec_path
from .splits import Splits as Splits
from .stars import one_at_a_time as one_at_a_time
from .stored import as_number as as_number
from .stored import axis_title as axis_title
from .stored import from_stored as from_stored
from .stored import in_level_order as in_level_order
from .stored import is_default as is_default
from .stored import level_text as level_text
from .stored import level_words as level_words
from .stored import may_be_own as may_be_own
from .stored import to_stored as to_stored
from .stored import unit_of as unit_of
from .video import CLIP as CLIP
from .video import FRAME as FRAME
from .video import FRAME_TIME as FRAME_TIME
from .video import NO_CLIP as NO_CLIP
from .video import Video as Video
from .video import check_steady as check_steady
from .video import clip_starts as clip_starts
from .video import moving_factors as moving_factors
from .where import Condition as Condition
from .where import parse_where as parse_where
from .word_order import normalised_caption as normalised_caption
from .word_order import parts_of_speech as parts_of_speech
from .word_order import word_orders as word_orders
from .wording import base_world as base_world
from .wording import spoken as spoken
from .written import places_of as places_of
from .written import written_scenes as written_scenes

__all__ = [
    "BACKGROUNDS",
    "BLANK",
    "CAPTIONS",
    "CLIP",
    "CLIP_PASSES",
    "CONDITIONS",
    "FACTORS",
    "FAMILIES",
    "FAMILY_COLUMNS",
    "FRAME",
    "FRAME_TIME",
    "LIGHTS",
    "MOST_OBJECTS",
    "NO_CLIP",
    "OWN",
    "PASSES",
    "SYNONYMS",
    "Condition",
    "Design",
    "Explicit",
    "Factor",
    "FactorTable",
    "Factorial",
    "LazyDesign",
    "ObjectAsset",
    "RenderSettings",
    "Scene",
    "SceneObject",
    "SemanticClass",
    "Spec",
    "Splits",
    "Value",
    "Video",
    "animals_caption",
    "as_number",
    "axis_title",
    "base_world",
    "canonical_json",
    "caption_columns",
    "check_steady",
    "class_of",
    "class_table",
    "classes_of",
    "clip_starts",
    "column_rows",
    "expanded",
    "from_columns",
    "from_stored",
    "hard_negative",
    "implied_labels",
    "in_class_order",
    "in_level_order",
    "is_default",
    "json_schema",
    "level_name",
    "level_text",
    "level_words",
    "listed",
    "load_spec",
    "may_be_own",
    "mentioned_levels",
    "moving_factors",
    "normalised_caption",
    "object_assets",
    "one_at_a_time",
    "parse_spec",
    "parse_where",
    "parts_of_speech",
    "places_of",
    "published_levels",
    "said_name",
    "scene_seed",
    "setting_seed",
    "shipped_specs",
    "spar_caption",
    "spec_path",
    "spoken",
    "to_stored",
    "unit_of",
    "word_orders",
    "written_scenes",
]
