from .modelcard import model_card as model_card
from .modelcard import write_card as write_card
from .tables import comma_separated as comma_separated
from .tables import markdown as markdown
from .tables import rows_as_csv as rows_as_csv
from .writing import load_record as load_record
from .writing import write_report as write_report

__all__ = [
    "comma_separated",
    "load_record",
    "markdown",
    "model_card",
    "rows_as_csv",
    "write_card",
    "write_report",
]
