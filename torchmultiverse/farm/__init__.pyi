from .estimate import DryRun as DryRun
from .estimate import dry_run as dry_run
from .estimate import identity as identity
from .estimate import render_options as render_options
from .estimate import select as select
from .parts import check_target as check_target
from .parts import join as join
from .parts import parse_part as parse_part
from .parts import part_folders as part_folders
from .parts import start_over as start_over
from .power import size as size
from .power import smallest as smallest
from .ray_engine import ray_factory as ray_factory
from .report import GenerateReport as GenerateReport
from .rerendering import rerender as rerender
from .run import GenerateOptions as GenerateOptions
from .run import generate as generate
from .slurm import directives as directives
from .slurm import last_log_line as last_log_line
from .slurm import submit as submit
from .slurm import write_jobs as write_jobs

__all__ = [
    "DryRun",
    "GenerateOptions",
    "GenerateReport",
    "check_target",
    "directives",
    "dry_run",
    "generate",
    "identity",
    "join",
    "last_log_line",
    "parse_part",
    "part_folders",
    "ray_factory",
    "render_options",
    "rerender",
    "select",
    "size",
    "smallest",
    "start_over",
    "submit",
    "write_jobs",
]
