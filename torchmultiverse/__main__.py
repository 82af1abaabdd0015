"""``python -m torchmultiverse``: the command line."""

from torchmultiverse.cli import main

main()
