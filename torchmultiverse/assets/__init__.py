"""Assets of others: a user's meshes and environment maps, and packs made of free data, with their licences."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
