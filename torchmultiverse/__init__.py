"""Controlled visual worlds for testing vision models.

>>> from torchmultiverse import Multiverse, generate, Dataset
"""

import lazy_loader

from torchmultiverse.version import __version__ as __version__

# Lazy, so that `import torchmultiverse` takes milliseconds and never imports torch or Mitsuba.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
