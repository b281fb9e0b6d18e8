"""What people see of the guard: log, figures, alerts and facts."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import structlog

from streaming.guard.guard import Findings, Guard
from streaming.guard.metrics import GuardMetrics
from streaming.recorder.alerts import ERROR

BLIND_SECONDS = 10.0  # for which a position may be out of sight before a person is told
CAUSES = ("take-profit", "stop-loss", "trailing stop")  # the words that a reason to close begins with
LOG = structlog.get_logger("stream.guard")


class GuardReport:
    def __init__(self, guard: Guard, metrics: GuardMetrics, alert: Callable[[str, str, str], object]) -> None:
        self._guard = guard
        self._metrics = metrics
        self._alert = alert
        self._blind_since: dict[str, float] = {}

    def note_look(self, now: float) -> None:
        """Count what the look could not see; a person hears of a position that is out of sight for long."""
        guard = self._guard
        for (pair, reason), count in guard.refusals.items():
            self._metrics.blind.labels(pair, reason).inc(count)
        guard.refusals.clear()
        self._metrics.positions.set(len(guard.held))
        if guard.equity is not None:
            self._metrics.equity.set(guard.equity)
        reasons = {str(pair): why for pair, why in guard.blind.items()}
        blind = {str(each.now.pair) for each in guard.held} & reasons.keys()
        self._blind_since = {pair: self._blind_since.get(pair, now) for pair in blind}
        long = {pair: now - since for pair, since in self._blind_since.items() if now - since > BLIND_SECONDS}
        if long:
            text = ", ".join(
                f"{pair} for {age:.0f} s ({reasons[pair]})" for pair, age in sorted(long.items())
            )
            self._alert("guard", ERROR, f"the guard does not see the price of open positions: {text}")

    def note_stored(self, findings: Findings) -> None:
        """Say what the journal has learned; the guard does not know yet that it has."""
        before = {each.now.pair: each.stored.stop_loss for each in self._guard.held}
        for each in findings.positions:
            pair = str(each.pair)
            if each.exit_reason:
                LOG.warning("a position is to be closed", pair=pair, why=each.exit_reason)
                self._metrics.exits.labels(pair, _cause(each.exit_reason)).inc()
            elif before.get(each.pair) != each.stop_loss:
                self._metrics.trails.labels(pair).inc()
        for halt in findings.halts:
            LOG.error("trading is halted", kind=halt.kind.value, why=halt.reason)
            self._metrics.halts.labels(halt.kind.value).inc()

    def facts(self) -> dict[str, Any]:
        """Return what is watched, as JSON values."""
        guard = self._guard
        return {
            "watching": guard.view is not None,
            "equity": guard.equity,
            "positions": {
                str(each.now.pair): {
                    "stop_loss": _text(each.now.stop_loss),
                    "take_profit": _text(each.now.take_profit),
                    "best_price": _text(each.now.best_price),
                    "stop_rests": each.resting,
                    "to_close": each.now.exit_reason,
                }
                for each in guard.held
            },
            "blind": {str(pair): why for pair, why in guard.blind.items()},
        }


def _cause(reason: str) -> str:
    return next((cause for cause in CAUSES if reason.startswith(cause)), "stop did not fire")


def _text(price: Decimal | None) -> str | None:
    return None if price is None else f"{price:f}"
