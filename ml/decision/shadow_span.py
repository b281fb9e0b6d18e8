"""Shadow decisions at every candle of a span, of the champion and of a challenger, and how often they agree."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ml.agents.opinions import Action
from ml.agents.rules import DecisionRules
from ml.decision.clock import chosen_time
from ml.decision.reader import InputReader
from ml.decision.shadow import shadow_decision
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Side
from trading.ports import Journal

RESOLUTION = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What one decision came to. `side` and `quantity` (base asset) are those of its order; None without one."""

    decision_id: str
    action: Action
    outcome: str
    refused: bool  # by risk
    side: Side | None
    quantity: Decimal | None

    @classmethod
    def of(cls, receipt: Mapping[str, Any]) -> "ShadowOutcome":
        intent, risk = receipt["intent"], receipt["risk"]
        return cls(
            decision_id=receipt["decision_id"],
            action=Action(receipt["action"]),
            outcome=receipt["outcome"],
            refused=bool(risk and not risk["approved"]),
            side=Side(intent["side"]) if intent else None,
            quantity=Decimal(intent["quantity"]) if intent else None,
        )


@dataclass(frozen=True, slots=True)
class ShadowCandle:
    """One candle, decided on by both. `challenger` is None where there is none."""

    closed_at: datetime
    champion: ShadowOutcome
    challenger: ShadowOutcome | None

    @property
    def agrees(self) -> bool:
        return self.challenger is None or self.challenger.action is self.champion.action

    @property
    def is_held(self) -> bool:
        """Return whether nobody wants to act."""
        return self.agrees and self.champion.action is Action.HOLD


@dataclass(frozen=True, slots=True)
class ShadowTotals:
    """What the decisions of one policy came to; quantities are in the base asset."""

    decisions: int
    actions: Mapping[Action, int]
    refused: int
    orders: Mapping[Side, int]
    quantities: Mapping[Side, Decimal]

    @classmethod
    def of(cls, outcomes: Sequence[ShadowOutcome]) -> "ShadowTotals":
        actions = Counter(each.action for each in outcomes)
        ordered = [(each.side, each.quantity) for each in outcomes if each.side and each.quantity]
        return cls(
            decisions=len(outcomes),
            actions={action: actions[action] for action in Action},
            refused=sum(each.refused for each in outcomes),
            orders={side: sum(each is side for each, _ in ordered) for side in Side},
            quantities={
                side: sum((amount for each, amount in ordered if each is side), Decimal(0)) for side in Side
            },
        )


def shadow_moments(reader: InputReader, pair: Pair, start: datetime, end: datetime | None) -> list[datetime]:
    """Return when each stored candle that closed in [start, end) became known; without `end` up to the clock's time.

    InvalidValue where the pair is not traded, NotStored where no candle closed in the span.
    """
    if pair not in reader.market.universe.pairs:
        known = ", ".join(map(str, reader.market.universe.pairs))
        raise InvalidValue(f"{pair} is not traded: choose one of {known}")
    if end is not None and end <= start:
        raise InvalidValue(
            f"the span from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC ends before it begins"
        )
    now = reader.now()
    until = now if end is None else min(end - RESOLUTION, now)
    candles = reader.market.candles_after(pair, start - RESOLUTION, until)
    if moments := sorted(each for each in candles["known_at"].unique() if each <= now):
        return moments
    to = f" and before {end:%Y-%m-%d %H:%M}" if end else ""
    raise NotStored(
        f"no candle of {pair} closed from {start:%Y-%m-%d %H:%M} on{to}; the market's time is "
        f"{now:%Y-%m-%d %H:%M} UTC: choose another span, or materialise those months of `ohlcv`"
    )


def shadow_span(
    pair: Pair,
    moments: Sequence[datetime],
    reader: InputReader,
    rules: DecisionRules,
    journal: Journal,
    challenger: str = "",
) -> Iterator[ShadowCandle]:
    """Decide in shadow mode at each moment; a candle that was decided on before is not decided on again."""
    for at in moments:
        first, *others = (
            shadow_decision(pair, chosen_time(at), reader, rules, journal, policy).receipt
            for policy in (["", challenger] if challenger else [""])
        )
        yield ShadowCandle(
            closed_at=datetime.fromisoformat(first["candle_close_time"]),
            champion=ShadowOutcome.of(first),
            challenger=ShadowOutcome.of(others[0]) if others else None,
        )
