from .analysis import analysis_page as analysis_page
from .memory import memory_page as memory_page
from .misalignment import misalignment_page as misalignment_page
from .modelcard import model_card as model_card
from .modelcard import write_card as write_card
from .page import render as render
from .page import report as report
from .portrait import portrait_page as portrait_page
from .studies import studies_page as studies_page
from .sweep import sweep_page as sweep_page
from .tables import comma_separated as comma_separated
from .tables import markdown as markdown
from .tables import rows_as_csv as rows_as_csv

__all__ = [
    "analysis_page",
    "comma_separated",
    "markdown",
    "memory_page",
    "misalignment_page",
    "model_card",
    "portrait_page",
    "render",
    "report",
    "rows_as_csv",
    "studies_page",
    "sweep_page",
    "write_card",
]
