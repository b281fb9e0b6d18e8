"""A guard over quotes that a test makes, and readings of an account that it writes down."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from streaming.guard.equity import DayOpening, EquityWatch
from streaming.guard.guard import Guard
from streaming.guard.held import GuardRules
from streaming.guard.quotes import Quotes
from streaming.session.output import TopOfBook
from tests.trading.risk.risk_case import LIMITS
from trading.market import Pair
from trading.orders import Order, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import Position
from trading.ports import AccountView

BTC, ETH, CROSS = Pair("BTC", "USDT"), Pair("ETH", "USDT"), Pair("ETH", "BTC")
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
ACCOUNT = "guarded"
RULES = GuardRules(stop_overdue=10.0, trail_seconds=15.0, real_time=True)
LIVE = OrderStatus.ACKNOWLEDGED


def position(pair: Pair = ETH, side: int = 1, **changes: Any) -> Position:
    """Opened at 100: stop 98, target 110, trails from 103 on, 2 behind; a short upside down."""
    values: dict[str, Any] = {
        "account": ACCOUNT, "pair": pair, "quantity": Decimal(side), "entry_price": Decimal(100),
        "stop_loss": Decimal(100 - 2 * side), "take_profit": Decimal(100 + 10 * side), "opened_at": NOON,
        "trailing_after": Decimal(100 + 3 * side), "trailing_distance": Decimal(2), **changes,
    }  # fmt: skip
    return Position(**values)


def working(kind: str, pair: Pair = ETH, status: OrderStatus = LIVE, **changes: Any) -> WorkingOrder:
    """An order without a final state: `entry`, `exit`, `stop` or `conversion`."""
    values: dict[str, Any] = {
        "intent_id": f"{kind}-{pair}", "decision_id": "", "account": ACCOUNT, "pair": pair, "side": Side.SELL,
        "quantity": Decimal(1), "reduces": kind in ("exit", "stop"), "stop_loss": None, "take_profit": None,
        "created_at": NOON, "trigger": Decimal(98) if kind == "stop" else None, "converts": kind == "conversion",
        **changes,
    }  # fmt: skip
    intent = OrderIntent(**values)
    return WorkingOrder(intent, Order(intent.intent_id, status, "", NOON, trigger=intent.trigger))


def view(*positions: Position, **changes: Any) -> AccountView:
    """A reading; by default each position has its stop at the venue."""
    values: dict[str, Any] = {
        "positions": positions, "working": tuple(working("stop", each.pair) for each in positions),
        "balances": {"USDT": Decimal(1000)}, "halts": (), "peak": Decimal(1000), "adjustments": 0, **changes,
    }  # fmt: skip
    return AccountView(**values)


def bare(*positions: Position, **changes: Any) -> AccountView:
    """A reading of positions whose stop rests nowhere."""
    return view(*positions, working=(), **changes)


@dataclass
class Case:
    """Time passes only when a look is made."""

    pairs: Iterable[Pair] = (BTC, ETH, CROSS)
    rules: GuardRules = RULES
    now: float = 1000.0
    at: datetime = NOON + timedelta(seconds=1)
    unseen: dict[Pair, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.quotes = Quotes(self.pairs, max_spread=0.02)
        self.guard = self.begin()

    def begin(self) -> Guard:
        """A guard as a new process has it."""
        equity = EquityWatch("USDT", list(self.pairs), LIMITS, timedelta(minutes=1))
        self.guard = Guard(
            self.rules,
            equity,
            self.quotes,
            lambda pair: Decimal("0.1"),
            lambda pair: self.unseen.get(pair, ""),
        )
        self.guard.learn_opening(DayOpening(NOON.date(), Decimal(1000), 0))
        return self.guard

    def quote(self, *bids: float, pair: Pair = ETH, spread: float = 0.1) -> None:
        for bid in bids:
            amount = Decimal(1)
            top = TopOfBook(
                pair, (Decimal(str(bid)), amount), (Decimal(str(round(bid + spread, 6))), amount), self.at
            )
            self.quotes.observe(top)

    def look(self, *bids: float, pair: Pair = ETH, seconds: float = 0.1, spread: float = 0.1) -> None:
        """One cycle later, after these bids."""
        self.quote(*bids, pair=pair, spread=spread)
        self.now += seconds
        self.at += timedelta(seconds=seconds)
        self.guard.look(self.at, self.now)

    def reason(self, pair: Pair = ETH) -> str:
        """Why the position must be closed, by what the journal is to learn."""
        return next((each.exit_reason for each in self.findings if each.pair == pair), "")

    @property
    def findings(self) -> tuple[Position, ...]:
        return self.guard.findings(self.now).positions

    def store(self) -> tuple[Position, ...]:
        """The journal takes the findings; what it then has of each."""
        findings = self.guard.findings(self.now)
        self.guard.stored(findings, self.now)
        return tuple(replace(each) for each in findings.positions)
