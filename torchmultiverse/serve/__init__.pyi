from .door import is_page_request as is_page_request
from .door import page_file as page_file
from .door import refused as refused
from .failures import KnownFailure as KnownFailure
from .failures import known_failures as known_failures
from .failures import recognise as recognise
from .forever import run_stacks as run_stacks
from .forever import serve_forever as serve_forever
from .forever import to_stderr as to_stderr
from .launch import RESTARTS as RESTARTS
from .launch import LocalStack as LocalStack
from .launch import Stack as Stack
from .logs import LOG_BYTES as LOG_BYTES
from .logs import LOG_FILES as LOG_FILES
from .logs import LogFile as LogFile
from .logs import last_lines as last_lines
from .security import check_bind as check_bind
from .security import check_origins as check_origins
from .signalling import SignallingServer as SignallingServer
from .streamer import Streamer as Streamer
from .unreal import UnrealProcess as UnrealProcess

__all__ = [
    "LOG_BYTES",
    "LOG_FILES",
    "RESTARTS",
    "KnownFailure",
    "LocalStack",
    "LogFile",
    "SignallingServer",
    "Stack",
    "Streamer",
    "UnrealProcess",
    "check_bind",
    "check_origins",
    "is_page_request",
    "known_failures",
    "last_lines",
    "page_file",
    "recognise",
    "refused",
    "run_stacks",
    "serve_forever",
    "to_stderr",
]
