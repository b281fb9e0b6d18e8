"""How orders are carried out: numbers from the settings, no rule."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """Times of the venue's clock or the machine's, unless said otherwise."""

    entry_age: timedelta  # an entry that was decided longer ago, by the account's clock, is not sent any more
    protected_within: timedelta = timedelta(seconds=60)  # a position without its stop for longer is closed
    patience: timedelta = timedelta(seconds=5)  # how long orders are followed before the call returns
    lease_seconds: float = 15.0  # after a kill nobody sends for as long; renewed while working
    wait_for_holder: timedelta = timedelta(seconds=20)  # how long another sender's work is waited for
    poll_seconds: float = 0.1  # how often new orders of other processes are looked for
    # False for a venue without a clock of its own (paper): it lives by the candles up to the account's clock, so that
    # nothing is waited for, and its stops are moved candle by candle.
    real_time: bool = True
