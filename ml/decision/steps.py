"""The steps of a decision: how long each took, and which of them failed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter


class StepFailures:
    """Errors of steps that must not keep a position open whose protection was hit; they stop any other decision."""

    def __init__(self) -> None:
        self._errors: list[tuple[str, Exception]] = []

    @contextmanager
    def catch(self, name: str) -> Iterator[None]:
        """Keep the error of the step `name` for later."""
        try:
            yield
        except Exception as error:
            self._errors.append((name, error))

    def __bool__(self) -> bool:
        return bool(self._errors)

    def raise_first(self) -> None:
        """Raise the error of the first step that failed, if any."""
        for _, error in self._errors:
            raise error

    @property
    def descriptions(self) -> list[str]:
        return [f"{name}: {type(error).__name__}: {error}" for name, error in self._errors]


class Stopwatch:
    """Milliseconds per stage, for the receipt."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.milliseconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Record the time since the last lap under the stage's name."""
        now = self._clock()
        self.milliseconds[stage] = round((now - self._last) * 1000, 3)
        self._last = now
