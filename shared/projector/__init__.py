"""The projector: applies a stream to a service's tables in order, each message once, and never ahead of the data.

Guarantee: the tables and the position change in one transaction (compare-and-set of incarnation, sequence and fencing
token); the message is acked after the commit. Redelivery, second copies and late writers change nothing.
"""

from shared.projector.applied import AppliedWaiter
from shared.projector.faults import Fault, PoisonError, classify
from shared.projector.intervals import IntervalSet
from shared.projector.projection import (
    Delivery,
    OnPoison,
    Projection,
    Received,
    Repeats,
    decode_one,
    decode_records,
)
from shared.projector.projector import Projector
from shared.projector.rebuild import rebuild

__all__ = [
    "AppliedWaiter", "Delivery", "Fault", "IntervalSet", "OnPoison", "PoisonError", "Projection", "Projector",
    "Received", "Repeats", "classify", "decode_one", "decode_records", "rebuild",
]  # fmt: skip
