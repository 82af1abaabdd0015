"""What a representation knows: features of any layer, probes, geometry, memorization."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
