from .augment import AugmentedViews as AugmentedViews
from .classifier import train_classifier as train_classifier
from .clip import train_clip as train_clip
from .decoder import train_decoder as train_decoder
from .finetuning import finetune as finetune
from .finetuning import trained_on as trained_on
from .loop import Loop as Loop
from .loop import LoopSettings as LoopSettings
from .loop import Objective as Objective
from .settings import ClassifierTraining as ClassifierTraining
from .settings import ClipTraining as ClipTraining
from .settings import DiffusionTraining as DiffusionTraining
from .settings import EncoderTraining as EncoderTraining
from .settings import FineTuning as FineTuning
from .settings import TrainingSettings as TrainingSettings
from .settings import classifier_training as classifier_training
from .settings import parse_setting as parse_setting
from .settings import parse_settings as parse_settings
from .ssl import checkpoints as checkpoints
from .ssl import train_encoder as train_encoder

__all__ = [
    "AugmentedViews",
    "ClassifierTraining",
    "ClipTraining",
    "DiffusionTraining",
    "EncoderTraining",
    "FineTuning",
    "Loop",
    "LoopSettings",
    "Objective",
    "TrainingSettings",
    "checkpoints",
    "classifier_training",
    "finetune",
    "parse_setting",
    "parse_settings",
    "train_classifier",
    "train_clip",
    "train_decoder",
    "train_encoder",
    "trained_on",
]
