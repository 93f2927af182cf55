"""Which size and which policy fit your traffic: replay a trace of it, and see.

On the command line this is ``python -m aiocachetools simulate TRACE --size 500,2000``.
"""

from ._record import TraceRecorder
from ._replay import OPTIMUM, POLICIES, Simulation, simulate
from ._trace import Trace, TraceError, read_trace

__all__ = (
    "OPTIMUM",
    "POLICIES",
    "Simulation",
    "Trace",
    "TraceError",
    "TraceRecorder",
    "read_trace",
    "simulate",
)
