"""Repeating a reading request: as often as helps, and as late as the venue wants it."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from trading.errors import MarketloomError, RateLimited, Transient

Answer = TypeVar("Answer")
ATTEMPTS = 5
LONGEST_WAIT = 60.0  # seconds; a venue that wants more than this is asked again by the next run
_BACK_OFF = wait_random_exponential(multiplier=0.5, max=20)


class Throttled(RateLimited):
    """`seconds`: how long the venue wants us to wait, None where it does not say."""

    def __init__(self, message: str, seconds: float | None) -> None:
        wait = "wait a while" if seconds is None else f"wait {seconds:g} s"
        super().__init__(f"{message}; {wait} before the next request")
        self.seconds = seconds


def repeated(read: Callable[[], Answer], sleep: Callable[[float], None] = time.sleep) -> Answer:
    """What `read` answers in the end. Only for requests that change nothing; the last error goes on to the caller."""
    return Retrying(
        retry=retry_if_exception_type(Transient),
        stop=_given_up,
        wait=_pause,
        sleep=sleep,
        reraise=True,
    )(read)


def _given_up(state: RetryCallState) -> bool:
    return stop_after_attempt(ATTEMPTS)(state) or _pause(state) > LONGEST_WAIT


def _pause(state: RetryCallState) -> float:
    error = _error(state)
    if isinstance(error, Throttled) and error.seconds is not None:
        return error.seconds
    return _BACK_OFF(state)


def _error(state: RetryCallState) -> MarketloomError | BaseException | None:
    return state.outcome.exception() if state.outcome else None
