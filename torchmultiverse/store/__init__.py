"""The Parquet dataset: write, read, verify, card."""

from torchmultiverse.store.card import write_card
from torchmultiverse.store.inspection import Inspection, inspect
from torchmultiverse.store.reader import StoredDataset, open_dataset
from torchmultiverse.store.schema import PUBLISHED, VOLATILE, RowSchema
from torchmultiverse.store.verify import Verification, verify
from torchmultiverse.store.writer import SHARD_ROWS, DatasetWriter

__all__ = [
    "PUBLISHED",
    "SHARD_ROWS",
    "VOLATILE",
    "DatasetWriter",
    "Inspection",
    "RowSchema",
    "StoredDataset",
    "Verification",
    "inspect",
    "open_dataset",
    "verify",
    "write_card",
]
