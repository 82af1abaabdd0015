"""The built-in engine: worlds and animals made by code, rendered by Mitsuba 3."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
