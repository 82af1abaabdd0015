"""Objects made by code from data: the classes of PUG: ImageNet, each with its variants (see `document`)."""

from torchmultiverse.engines.builtin.objects.labels import object_label
from torchmultiverse.engines.builtin.objects.library import load_object, object_class, object_files, object_names

__all__ = ["load_object", "object_class", "object_files", "object_label", "object_names"]
