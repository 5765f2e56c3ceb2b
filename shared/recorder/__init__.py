"""The recorder: makes records durable in groups, so that a response can wait for its record at hardly any cost.

Guarantee: what `settled` of a ticket resolved for is acked by JetStream or fsynced to the spool; a message is frozen when
first sent, so that no retry can lose, double or regroup a record.
"""

from shared.recorder.record import Record
from shared.recorder.recorder import NotDurableError, Recorder, RecorderLimits, Ticket
from shared.recorder.spool import Frozen, Spool, adopt_orphans

__all__ = ["Frozen", "NotDurableError", "Record", "Recorder", "RecorderLimits", "Spool", "Ticket", "adopt_orphans"]
