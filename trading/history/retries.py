"""Retries of a request that changes nothing: as often as helps, and as late as the venue asks for."""

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from trading.errors import RateLimited, Transient

Result = TypeVar("Result")
MAX_ATTEMPTS = 5
MAX_WAIT = 60.0  # seconds; a venue that wants more than this is asked again by the next run
_BACK_OFF = wait_random_exponential(multiplier=0.5, max=20)


class Throttled(RateLimited):
    """`seconds`: how long the venue wants us to wait, None where it does not say."""

    def __init__(self, message: str, seconds: float | None) -> None:
        wait = "wait a while" if seconds is None else f"wait {seconds:g} s"
        super().__init__(f"{message}; {wait} before the next request")
        self.seconds = seconds


def retry(read: Callable[[], Result], sleep: Callable[[float], None] = time.sleep) -> Result:
    """Call `read` until it succeeds. Only for requests that change nothing; the last error goes on to the caller."""
    return Retrying(
        retry=retry_if_exception_type(Transient),
        stop=_should_stop,
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )(read)


def _should_stop(state: RetryCallState) -> bool:
    return stop_after_attempt(MAX_ATTEMPTS)(state) or _wait(state) > MAX_WAIT


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Throttled) and error.seconds is not None:
        return error.seconds
    return _BACK_OFF(state)
