"""What to render: factors, scenes, designs, specs, captions. Pure: reads JSON, knows no engine and no torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
