"""What the market monitor reads of the operational store, and where its insight goes."""

from datetime import datetime, timedelta
from typing import Any

from ml.agents.monitor import AGENT, Look, Monitor, fingerprint
from orchestration.services import Services
from trading.bus_messages import alert
from trading.errors import NotStored
from trading.market import Pair
from trading.portfolio import Position
from trading.risk.halts import active_halts
from trading.stores.postgres.agent_log import PostgresAgentLog

PASSING = ("time", "models")  # of the state: what changes by itself, or by looking
DECISIONS, NOTES, FAILURES = 10, 20, 5
NOTED_WITHIN = timedelta(days=1)


class StoredMarket:
    """The monitor of `sensors.monitor` over the stores of these services."""

    def __init__(self, services: Services, model: Monitor) -> None:
        self._services, self._model = services, model
        self._log = PostgresAgentLog(services.dsn, services.dataset)

    def changed(self, cursor: str) -> str:
        now = fingerprint(self.state(), PASSING)
        return "" if now == cursor else now

    def look(self) -> tuple[Look, datetime]:
        """Ask the model; its insight becomes a note, and an alert where it is a warning."""
        at = self._services.clock().at
        look = self._model.look(self.state())
        judgement, insight = look.judgement, look.insight
        level = insight.severity if insight else "warning"
        message = f"{insight.headline}: {insight.insight}" if insight else f"no insight: {look.problem}"
        facts = {"model": judgement.model, "outcome": judgement.outcome, "tokens": judgement.tokens}
        details = facts | {"cost_usd": judgement.cost_usd, "run": insight and insight.run}
        self._log.note(at, AGENT, level, message, details)
        if insight and insight.severity == "warning":
            text = f"{judgement.model} noticed: {message}"
            self._services.announce(alert(AGENT, "insight", "warning", text, at, about=insight.headline))
        return look, at

    def state(self) -> dict[str, Any]:
        """Read the present state as plain JSON values."""
        services = self._services
        at, account, journal = services.clock().at, services.account.name, services.journal
        spent = services.model_calls.spent_today()
        return {
            "time": at.isoformat(),
            "dataset": services.dataset,
            "timeframe": services.settings.market.timeframe.value,
            "pairs": {str(pair): self._pair(pair, at) for pair in services.settings.market.pairs},
            "account": account,
            "positions": [_position(each) for each in journal.positions(account)],
            "halts": [f"{each.kind}: {each.reason}" for each in active_halts(journal.halts(account), at)],
            "decisions": [
                {name: each[name] for name in ("pair", "decided_at", "action", "outcome")}
                for each in journal.decisions(account, limit=DECISIONS)
            ],
            "models": {
                "spent_today_usd": round(spent, 4),
                "asked": str(services.settings.model_ladder.rung(spent)),
            },
            "noted": [
                f"{each['level']}: {each['agent']}: {each['message']}"[:200]
                for each in self._log.newest(at - NOTED_WITHIN, NOTES, without=AGENT)
            ],
            "failed_runs": [f"{each.job}: {each.reason}" for each in services.failure_notes.newest(FAILURES)],
        }

    def _pair(self, pair: Pair, at: datetime) -> dict[str, Any]:
        try:
            closed = self._services.market_reader.last_close_time(pair, at)
        except NotStored:
            return {"newest_candle": None}
        # The close itself, and no age: what has not changed is not looked at again.
        return {"newest_candle": closed.isoformat()}


def _position(position: Position) -> dict[str, Any]:
    return {
        "pair": str(position.pair),
        "quantity": f"{position.quantity:f}",
        "entry_price": f"{position.entry_price:f}",
        "stop_loss": None if position.stop_loss is None else f"{position.stop_loss:f}",
        "to_be_closed": position.exit_reason,
    }
