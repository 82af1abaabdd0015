from . import bridge as bridge
from . import datachannel as datachannel
from . import messages as messages
from . import pixels as pixels
from . import pug as pug
from . import shared_memory as shared_memory
from . import signalling as signalling
from . import webrtc as webrtc
from . import websocket as websocket
from .datachannel import MessageIds as MessageIds
from .datachannel import Receiver as Receiver
from .signalling import MAX_MESSAGE as MAX_MESSAGE
from .signalling import Generation as Generation
from .signalling import Hangup as Hangup
from .signalling import Message as Message
from .signalling import Out as Out
from .signalling import PlayerSession as PlayerSession
from .signalling import ServerCore as ServerCore
from .signalling import StreamerSession as StreamerSession
from .signalling import parse as parse
from .websocket import CLOSE_TIMEOUT as CLOSE_TIMEOUT
from .websocket import PING as PING
from .websocket import printable as printable

__all__ = [
    "CLOSE_TIMEOUT",
    "MAX_MESSAGE",
    "PING",
    "Generation",
    "Hangup",
    "Message",
    "MessageIds",
    "Out",
    "PlayerSession",
    "Receiver",
    "ServerCore",
    "StreamerSession",
    "bridge",
    "datachannel",
    "messages",
    "parse",
    "pixels",
    "printable",
    "pug",
    "shared_memory",
    "signalling",
    "webrtc",
    "websocket",
]
