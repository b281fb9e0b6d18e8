"""How long a losing streak stops entries: one definition, which the live halt calls and the back-test compiles.

Plain integer arithmetic on microseconds, so that it is the same in both.
"""


def cool_down_end(closed_at: int, candle_open: int, minimum: int, candles: int, length: int) -> int:
    """Return the first moment at which an entry may be decided again, after a loss that was closed at `closed_at`.

    That is `minimum` later, but not before the decisions at the close of `candles` candles were refused, the one
    in which the loss was closed (it opened at `candle_open` and lasts `length`) being the first of them.
    """
    return max(closed_at + minimum, candle_open + (candles + 1) * length)
