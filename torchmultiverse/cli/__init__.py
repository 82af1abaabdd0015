"""The command line: parses, calls one function, prints."""

from torchmultiverse.cli.app import main

__all__ = ["main"]
