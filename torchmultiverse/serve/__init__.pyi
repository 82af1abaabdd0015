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
from .security import authorised as authorised
from .security import check_bind as check_bind
from .security import check_origins as check_origins
from .security import origin_allowed as origin_allowed
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
    "authorised",
    "check_bind",
    "check_origins",
    "known_failures",
    "last_lines",
    "origin_allowed",
    "recognise",
    "run_stacks",
    "serve_forever",
    "to_stderr",
]
