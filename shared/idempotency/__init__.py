"""First answers to requests under an Idempotency-Key, kept by the owner for a day.

Guarantee: of equal requests for one operation under one key and credential at most one runs at a time, and once one was
answered all get its answer. A crash between the effect and its answer is for the operation to meet: what it derives from the
caller's seed (`Caller.new_id`, `Caller.cause`), the same at every retry within the day, finds what was made.
"""

from shared.idempotency.answers import KeptAnswers

__all__ = ["KeptAnswers"]
