"""The dead man's switch at work: told what is due, from a thread, and what a person hears of it."""

import time
from collections.abc import Callable

import structlog

from streaming.guard.errand import Errand
from streaming.guard.metrics import GuardMetrics
from streaming.guard.switch import Switch, SwitchState
from streaming.recorder.alerts import ERROR
from trading.ports import AccountView

CHECK_SECONDS = 10.0  # between two looks at the inputs that are not in memory
LOG = structlog.get_logger("stream.guard")


class SwitchDuty:
    """Keeps one account's switch as `Switch` wants it."""

    def __init__(
        self,
        seconds: int,
        tell: Callable[[int], object],
        problems: Callable[[], list[str]],
        alert: Callable[[str, str, str], object],
        metrics: GuardMetrics,
        check: Callable[[], object],
    ) -> None:
        """`tell` sets the venue's switch; 0 turns it off. `problems`: what of its inputs is not well; `check` looks.

        `problems` answers at once, from memory; `check` may take its time and is called from a thread.
        """
        self._switch = Switch(seconds)
        self._problems = problems
        self._alert = alert
        self._metrics = metrics
        self._view: AccountView | None = None
        self._shown = self._switch.state
        self._setting: Errand[tuple[int, float], object] = Errand(
            "dead man's switch",
            self._due,
            lambda due: tell(due[0]),
            lambda due, _: self._told(*due),
            failed=self._note_failure,
        )
        self._checking: Errand[bool, object] = Errand(
            "inputs of the dead man's switch",
            lambda: True,
            lambda _: check(),
            lambda *_: None,
            failed=lambda name: metrics.errors.labels(name).inc(),
            every=CHECK_SECONDS,
        )
        self.errands = (self._setting, self._checking)

    def look(self, view: AccountView) -> None:
        """Ask for what is due."""
        self._view = view
        if self._due() is not None:
            self._setting.ask()
        self._show()

    def facts(self) -> dict[str, object]:
        return {
            "state": self._switch.state.value,
            "not_refreshed_because": list(self._switch.problems),
            "inputs_not_well": self._problems(),
        }

    def _due(self) -> tuple[int, float] | None:
        now = time.monotonic()
        if self._view is None:
            return None
        seconds = self._switch.due(self._view, self._problems(), now)
        return None if seconds is None else (seconds, now)

    def _told(self, seconds: int, began: float) -> None:
        self._switch.told(seconds, began)
        self._metrics.switch_calls.labels("armed" if seconds else "off").inc()
        self._show()

    def _show(self) -> None:
        state = self._switch.state
        for each in SwitchState:
            self._metrics.switch.labels(each.value).set(each is state)
        if state is self._shown:
            return
        self._shown = state
        why = "; ".join(self._switch.problems)
        LOG.info("dead man's switch", state=state.value, why=why or None)
        if state is SwitchState.NOT_REFRESHED:
            text = f"the dead man's switch is not refreshed any more and cancels every order: {why}"
            self._alert("dead man's switch", ERROR, text)

    def _note_failure(self, errand: str) -> None:
        self._switch.lost()
        self._metrics.errors.labels(errand).inc()
        self._alert(errand, ERROR, f"the dead man's switch could not be set: {self._setting.failing}")
