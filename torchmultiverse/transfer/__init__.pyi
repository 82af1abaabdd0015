from .domain_findings import DomainFindings as DomainFindings
from .domain_findings import DomainOptions as DomainOptions
from .domain_findings import measure_domains as measure_domains
from .domain_record import domain_study as domain_study

__all__ = [
    "DomainFindings",
    "DomainOptions",
    "domain_study",
    "measure_domains",
]
