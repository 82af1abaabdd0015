"""Tables, charts, galleries: one static HTML page, markdown and CSV from a result."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
