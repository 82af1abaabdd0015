"""Assets of others: a user's meshes and environment maps, and packs made of free data, with their licences."""

from torchmultiverse.assets.folder import add
from torchmultiverse.assets.library import Pack, check_packs, installed, open_pack, remove
from torchmultiverse.assets.packs import asset_source

__all__ = ["Pack", "add", "asset_source", "check_packs", "installed", "open_pack", "remove"]
