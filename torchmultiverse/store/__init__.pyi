from .caption_sets import import_captions as import_captions
from .card import write_card as write_card
from .combine import diff as diff
from .combine import merge as merge
from .corrupted import CorruptedImages as CorruptedImages
from .corrupted import fitted_depth as fitted_depth
from .crossing import Crossing as Crossing
from .exporting import export_folder as export_folder
from .exporting import export_webdataset as export_webdataset
from .filtering import missed_levels as missed_levels
from .filtering import rows_where as rows_where
from .finishing import finish as finish
from .folder import check_same as check_same
from .folder import check_vacant as check_vacant
from .folder import clear as clear
from .hub import files_to_push as files_to_push
from .hub import push as push
from .image_folder import ImageFolder as ImageFolder
from .image_folder import open_images as open_images
from .importing import import_dataset as import_dataset
from .inspection import Inspection as Inspection
from .inspection import inspect as inspect
from .labels import LABEL_COLUMNS as LABEL_COLUMNS
from .labels import label_column as label_column
from .labels import usual_label as usual_label
from .leaks import leakage as leakage
from .licence import PUG as PUG
from .licence import licence_of as licence_of
from .licence import require_generative_use as require_generative_use
from .manifest import FORMAT as FORMAT
from .manifest import FailedScene as FailedScene
from .manifest import Manifest as Manifest
from .manifest import ShardEntry as ShardEntry
from .manifest import Terms as Terms
from .manifest import engine_difference as engine_difference
from .manifest import spec_of as spec_of
from .manifest import table_of as table_of
from .masked import MaskedImages as MaskedImages
from .mp4 import export_mp4 as export_mp4
from .parquet import GROUP_ROWS as GROUP_ROWS
from .parquet import reading as reading
from .parquet import write_groups as write_groups
from .quality import limits_of as limits_of
from .quality import measure as measure
from .quality import outside as outside
from .reader import StoredDataset as StoredDataset
from .reader import open_dataset as open_dataset
from .schema import PUBLISHED as PUBLISHED
from .schema import VOLATILE as VOLATILE
from .schema import RowSchema as RowSchema
from .schema import huggingface as huggingface
from .sheet import SHEET_SUFFIXES as SHEET_SUFFIXES
from .sheet import Sheet as Sheet
from .sheet import dataset_sheet as dataset_sheet
from .sheet import drawn_rows as drawn_rows
from .strips import clip_rows as clip_rows
from .verification import Verification as Verification
from .verification import verify as verify
from .views import ImageList as ImageList
from .views import ImageSet as ImageSet
from .views import ImageSubset as ImageSubset
from .views import columns_of as columns_of
from .views import dataset_name as dataset_name
from .views import drawn_images as drawn_images
from .views import factor_table as factor_table
from .views import facts_of as facts_of
from .views import manifest_hash as manifest_hash
from .views import without as without
from .writer import SHARD_ROWS as SHARD_ROWS
from .writer import DatasetWriter as DatasetWriter

__all__ = [
    "FORMAT",
    "GROUP_ROWS",
    "LABEL_COLUMNS",
    "PUBLISHED",
    "PUG",
    "SHARD_ROWS",
    "SHEET_SUFFIXES",
    "VOLATILE",
    "CorruptedImages",
    "Crossing",
    "DatasetWriter",
    "FailedScene",
    "ImageFolder",
    "ImageList",
    "ImageSet",
    "ImageSubset",
    "Inspection",
    "Manifest",
    "MaskedImages",
    "RowSchema",
    "ShardEntry",
    "Sheet",
    "StoredDataset",
    "Terms",
    "Verification",
    "check_same",
    "check_vacant",
    "clear",
    "clip_rows",
    "columns_of",
    "dataset_name",
    "dataset_sheet",
    "diff",
    "drawn_images",
    "drawn_rows",
    "engine_difference",
    "export_folder",
    "export_mp4",
    "export_webdataset",
    "factor_table",
    "facts_of",
    "files_to_push",
    "finish",
    "fitted_depth",
    "huggingface",
    "import_captions",
    "import_dataset",
    "inspect",
    "label_column",
    "leakage",
    "licence_of",
    "manifest_hash",
    "measure",
    "merge",
    "missed_levels",
    "open_dataset",
    "open_images",
    "outside",
    "push",
    "reading",
    "require_generative_use",
    "rows_where",
    "spec_of",
    "table_of",
    "usual_label",
    "verify",
    "without",
    "write_card",
    "write_groups",
]
