from .analysis import Analysis as Analysis
from .analysis import AnalysisOptions as AnalysisOptions
from .analysis import LabelBudget as LabelBudget
from .analysis import LayerSimilarity as LayerSimilarity
from .analysis import add_memorization as add_memorization
from .analysis import add_samples as add_samples
from .analysis import analyze_model as analyze_model
from .analysis import default_decoder_training as default_decoder_training
from .class_shift import ClassQuestion as ClassQuestion
from .class_shift import unseen_classes as unseen_classes
from .corrupted_layers import CorruptedLayerOptions as CorruptedLayerOptions
from .corrupted_layers import CorruptedLayers as CorruptedLayers
from .corrupted_layers import probe_corruptions as probe_corruptions
from .corruption_record import analyze_corruptions as analyze_corruptions
from .decoders import LayerDecoderOptions as LayerDecoderOptions
from .decoders import decoder_pixels as decoder_pixels
from .decoders import image_grid as image_grid
from .decoders import load_conditioned_decoder as load_conditioned_decoder
from .decoders import train_layer_decoder as train_layer_decoder
from .dejavu_factor_study import factor_memory_study as factor_memory_study
from .dejavu_factors import FactorMemory as FactorMemory
from .experiment import Experiment as Experiment
from .experiment import Experiments as Experiments
from .experiment_setup import EPSILONS as EPSILONS
from .experiment_setup import AttackOptions as AttackOptions
from .experiment_setup import ExperimentSetup as ExperimentSetup
from .experiments import run_experiments as run_experiments
from .filter_comparison import compare_filters as compare_filters
from .geometry import LayerGeometry as LayerGeometry
from .grids import GridOptions as GridOptions
from .grids import parse_vary as parse_vary
from .grids import settings_grid as settings_grid
from .held_out import HeldOutSplits as HeldOutSplits
from .held_out import draw_splits as draw_splits
from .layer_accuracy import Cut as Cut
from .layer_accuracy import LayerGap as LayerGap
from .layer_accuracy import ProbeResults as ProbeResults
from .layer_accuracy import probe_layers as probe_layers
from .learning import LearningOptions as LearningOptions
from .learning import learning_order as learning_order
from .memorization import Memorization as Memorization
from .memorization import MemorizationOptions as MemorizationOptions
from .memorization import measure_memorization as measure_memorization
from .misalignment import Misalignment as Misalignment
from .misalignment import TrainedRecipe as TrainedRecipe
from .misalignment import TrainingRecipe as TrainingRecipe
from .misalignment import measure_misalignment as measure_misalignment
from .misalignment import parse_recipe as parse_recipe
from .neighbours import nearest_rows as nearest_rows
from .object_removal import ObjectRemoval as ObjectRemoval
from .options import RunOptions as RunOptions
from .probes import PROBES as PROBES
from .probes import ProbeData as ProbeData
from .probes import probe_of as probe_of
from .published import published_samples as published_samples
from .published import published_sections as published_sections
from .rcdm import interpolate as interpolate
from .rcdm import sample as sample
from .sample_evaluation import SampleEvaluation as SampleEvaluation
from .sample_evaluation import SamplingOptions as SamplingOptions
from .sample_evaluation import evaluate_samples as evaluate_samples
from .splits import FactorTarget as FactorTarget
from .splits import Split as Split
from .splits import factor_target as factor_target
from .splits import split as split
from .sweeps import MemorizationSweep as MemorizationSweep
from .sweeps import sweep_memorization as sweep_memorization
from .trainings import LayerMean as LayerMean

__all__ = [
    "EPSILONS",
    "PROBES",
    "Analysis",
    "AnalysisOptions",
    "AttackOptions",
    "ClassQuestion",
    "CorruptedLayerOptions",
    "CorruptedLayers",
    "Cut",
    "Experiment",
    "ExperimentSetup",
    "Experiments",
    "FactorMemory",
    "FactorTarget",
    "GridOptions",
    "HeldOutSplits",
    "LabelBudget",
    "LayerDecoderOptions",
    "LayerGap",
    "LayerGeometry",
    "LayerMean",
    "LayerSimilarity",
    "LearningOptions",
    "Memorization",
    "MemorizationOptions",
    "MemorizationSweep",
    "Misalignment",
    "ObjectRemoval",
    "ProbeData",
    "ProbeResults",
    "RunOptions",
    "SampleEvaluation",
    "SamplingOptions",
    "Split",
    "TrainedRecipe",
    "TrainingRecipe",
    "add_memorization",
    "add_samples",
    "analyze_corruptions",
    "analyze_model",
    "compare_filters",
    "decoder_pixels",
    "default_decoder_training",
    "draw_splits",
    "evaluate_samples",
    "factor_memory_study",
    "factor_target",
    "image_grid",
    "interpolate",
    "learning_order",
    "load_conditioned_decoder",
    "measure_memorization",
    "measure_misalignment",
    "nearest_rows",
    "parse_recipe",
    "parse_vary",
    "probe_corruptions",
    "probe_layers",
    "probe_of",
    "published_samples",
    "published_sections",
    "run_experiments",
    "sample",
    "settings_grid",
    "split",
    "sweep_memorization",
    "train_layer_decoder",
    "unseen_classes",
]
