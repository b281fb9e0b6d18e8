"""Slows a look down that is asked for with every pass of the keeper."""

import math
import time
from collections.abc import Callable


def every(
    seconds: float, look: Callable[[], None], monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], None]:
    """Return `look`, which does nothing until `seconds` after it was begun last, however that ended."""
    began = -math.inf

    def look_when_due() -> None:
        nonlocal began
        if monotonic() - began >= seconds:
            began = monotonic()
            look()

    return look_when_due
