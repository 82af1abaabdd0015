"""Launch profiles: packaged binaries by name, with where and how they are started, and whether they work."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
