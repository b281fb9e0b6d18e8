"""Names of the step boundaries: a process may die at any of them, and the next one goes on."""

from enum import StrEnum


class Checkpoint(StrEnum):
    """The moment just after what the name says, or before."""

    BEFORE_SENT = "before sent"
    SENT = "sent"  # in the ledger; the venue has not been asked
    SUBMITTED = "submitted"  # the venue has answered; the ledger does not know
    LOOKED_UP = "looked up"
    BOOKED = "booked"
    BEFORE_ADOPTING = "before adopting"  # the venue has placed a stop; the ledger does not know
    ADOPTED = "adopted"
    BEFORE_AMEND = "before amend"
    AMEND_RECORDED = "amend recorded"  # in the ledger; the venue has not been asked
    AMENDED = "amended"
    STOP_LEAVING = "stop leaving"  # its cancellation is in the ledger; the venue has not been asked
    BEFORE_CANCEL = "before cancel"
    CANCELLED = "cancelled"  # the venue has answered; what became of the order is not known yet
    TRAILED = "trailed"
    STOP_INTENDED = "stop intended"  # committed; not sent
    EXIT_ORDERED = "exit ordered"  # of a position that could not be protected
    EXIT_REPLACED = "exit replaced"  # by a smaller one, since a stop has closed a part


# Those come only with candles, or when something is wrong.
RARE_CHECKPOINTS = (
    Checkpoint.TRAILED,
    Checkpoint.STOP_INTENDED,
    Checkpoint.EXIT_ORDERED,
    Checkpoint.EXIT_REPLACED,
)
CHECKPOINTS = tuple(each for each in Checkpoint if each not in RARE_CHECKPOINTS)  # of every position's life
