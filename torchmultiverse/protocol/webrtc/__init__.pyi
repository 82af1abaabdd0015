from .candidates import TRICKLED as TRICKLED
from .candidates import trickled as trickled
from .choice import TRANSPORT_VARIABLE as TRANSPORT_VARIABLE
from .choice import Stack as Stack
from .choice import Transport as Transport
from .choice import check_transport as check_transport
from .choice import choose_stack as choose_stack
from .choice import make_peer as make_peer
from .peer import HIGH_WATER as HIGH_WATER
from .peer import Peer as Peer
from .peer import PeerEvents as PeerEvents
from .peer import VideoSource as VideoSource

__all__ = [
    "HIGH_WATER",
    "TRANSPORT_VARIABLE",
    "TRICKLED",
    "Peer",
    "PeerEvents",
    "Stack",
    "Transport",
    "VideoSource",
    "check_transport",
    "choose_stack",
    "make_peer",
    "trickled",
]
