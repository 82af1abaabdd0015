from .acquisition import next_renders as next_renders
from .attribution import explain_gap as explain_gap
from .breakdown import FactorScore as FactorScore
from .breakdown import Interaction as Interaction
from .breakdown import calibration as calibration
from .breakdown import factor_scores as factor_scores
from .breakdown import in_order as in_order
from .breakdown import interactions as interactions
from .breakdown import strongest_pair as strongest_pair
from .comparison import ModelRank as ModelRank
from .comparison import compare as compare
from .comparison import model_ranks as model_ranks
from .composition_record import composition_results as composition_results
from .composition_record import composition_study as composition_study
from .composition_record import score_compositions as score_compositions
from .corruption_errors import corruption_error as corruption_error
from .corruption_errors import relative_corruption_error as relative_corruption_error
from .corruption_run import CorruptionOptions as CorruptionOptions
from .corruption_run import errors_under_corruptions as errors_under_corruptions
from .corruption_study import evaluate_corruptions as evaluate_corruptions
from .corruption_study import page_image as page_image
from .counterfactual import counterfactuals as counterfactuals
from .dictionaries import word_codes as word_codes
from .displacements import equivariance as equivariance
from .gallery import chosen_rows as chosen_rows
from .gallery import data_uri as data_uri
from .gallery import pair_sheet as pair_sheet
from .gallery import slice_sheet as slice_sheet
from .heldout import held_out as held_out
from .heldout_grid import held_out_grid as held_out_grid
from .heldout_grid import held_out_questions as held_out_questions
from .heldout_grid import held_out_study as held_out_study
from .imagenet import class_map as class_map
from .imagenet import imagenet_names as imagenet_names
from .imagenet import logits_of as logits_of
from .imagenet_c import published_on_imagenet_c as published_on_imagenet_c
from .names import plain as plain
from .paired import RowView as RowView
from .prompts import Prompts as Prompts
from .protocol import Protocol as Protocol
from .protocol_choices import sensitivity as sensitivity
from .provenance import Provenance as Provenance
from .ranking import LeaderboardRow as LeaderboardRow
from .ranking import leaderboard as leaderboard
from .ranking import leaderboard_rows as leaderboard_rows
from .ranking import percent as percent
from .ranking import ranked as ranked
from .ranking import task_title as task_title
from .records import AcquisitionRecord as AcquisitionRecord
from .records import ComparisonRecord as ComparisonRecord
from .records import CorrelationRecord as CorrelationRecord
from .records import CounterfactualRecord as CounterfactualRecord
from .records import EquivarianceRecord as EquivarianceRecord
from .records import GapRecord as GapRecord
from .records import HeldOutRecord as HeldOutRecord
from .records import InteractionRecord as InteractionRecord
from .records import ParallelismFacts as ParallelismFacts
from .records import SensitivityRecord as SensitivityRecord
from .records import SliceRecord as SliceRecord
from .reference import Published as Published
from .reference import correlate as correlate
from .reference import factor_accuracies as factor_accuracies
from .reference import imagenet_accuracies as imagenet_accuracies
from .reference import never_right as never_right
from .reference import published_cosines as published_cosines
from .reference import published_rows as published_rows
from .reference import tables as tables
from .registry import choose_protocol as choose_protocol
from .registry import load_protocol as load_protocol
from .registry import minimal_protocol as minimal_protocol
from .registry import protocols as protocols
from .result import AVERAGE as AVERAGE
from .result import Result as Result
from .run import evaluate as evaluate
from .slices import Slice as Slice
from .slices import slices_of as slices_of
from .slices import worst_slices as worst_slices
from .submissions import Submission as Submission
from .submissions import check as check
from .submissions import submission as submission
from .task import Task as Task
from .task import multiple_choice as multiple_choice

__all__ = [
    "AVERAGE",
    "AcquisitionRecord",
    "ComparisonRecord",
    "CorrelationRecord",
    "CorruptionOptions",
    "CounterfactualRecord",
    "EquivarianceRecord",
    "FactorScore",
    "GapRecord",
    "HeldOutRecord",
    "Interaction",
    "InteractionRecord",
    "LeaderboardRow",
    "ModelRank",
    "ParallelismFacts",
    "Prompts",
    "Protocol",
    "Provenance",
    "Published",
    "Result",
    "RowView",
    "SensitivityRecord",
    "Slice",
    "SliceRecord",
    "Submission",
    "Task",
    "calibration",
    "check",
    "choose_protocol",
    "chosen_rows",
    "class_map",
    "compare",
    "composition_results",
    "composition_study",
    "correlate",
    "corruption_error",
    "counterfactuals",
    "data_uri",
    "equivariance",
    "errors_under_corruptions",
    "evaluate",
    "evaluate_corruptions",
    "explain_gap",
    "factor_accuracies",
    "factor_scores",
    "held_out",
    "held_out_grid",
    "held_out_questions",
    "held_out_study",
    "imagenet_accuracies",
    "imagenet_names",
    "in_order",
    "interactions",
    "leaderboard",
    "leaderboard_rows",
    "load_protocol",
    "logits_of",
    "minimal_protocol",
    "model_ranks",
    "multiple_choice",
    "never_right",
    "next_renders",
    "page_image",
    "pair_sheet",
    "percent",
    "plain",
    "protocols",
    "published_cosines",
    "published_on_imagenet_c",
    "published_rows",
    "ranked",
    "relative_corruption_error",
    "score_compositions",
    "sensitivity",
    "slice_sheet",
    "slices_of",
    "strongest_pair",
    "submission",
    "tables",
    "task_title",
    "word_codes",
    "worst_slices",
]
