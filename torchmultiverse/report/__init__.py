"""Tables, charts, galleries: one static HTML page, markdown and CSV from a result."""

from torchmultiverse.report.page import render, report
from torchmultiverse.report.tables import comma_separated, markdown

__all__ = ["comma_separated", "markdown", "render", "report"]
