"""What models make of images: features of any layer, batch by batch, and their cache on disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
