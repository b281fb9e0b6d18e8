"""Words and rows that the demo prints and writes alike."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np

from ml.agents.opinions import Action
from ml.decision.explanation import explain
from orchestration.commands.demo_summary import DemoSummary, PairSummary, PlacedOrder

FOLD_COLUMNS = (
    "pair", "test month", "policy", "buy and hold", "cash", "Sharpe", "drawdown", "trades", "frames/s",
)  # fmt: skip
ABSTAINED = "abstained"
ORDER_COLUMNS = ("decided", "pair", "order", "price", "stop", "target", "fee", "what became of it")


def count(number: int, noun: str, nouns: str = "") -> str:
    """Write a number with its noun, in the singular where it is 1."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def decisions_text(each: PairSummary) -> str:
    """Count the decisions by what was decided."""
    actions = ", ".join(f"{number} {action}" for action, number in each.actions.items())
    return f"{count(len(each.decisions), 'decision')} ({actions})"


def vote_rows(each: PairSummary) -> Iterator[tuple[str, ...]]:
    """Count the votes of every agent on the pair."""
    votes: dict[str, Counter[str]] = {}
    for receipt in each.decisions:
        for opinion in receipt["opinions"]:
            votes.setdefault(opinion["agent"], Counter())[opinion["action"] or ABSTAINED] += 1
    for agent, counted in votes.items():
        yield (str(each.pair), agent, *(str(counted[action]) for action in (*Action, ABSTAINED)))


def champion_text(each: PairSummary) -> str:
    return f"champion {each.champion}" if each.champion else "no champion, the quant agent abstains"


def balances_text(balances: Mapping[str, Decimal]) -> str:
    """Write balances as a person reads them; the journal has every digit."""
    return ", ".join(f"{_amount(amount)} {asset}" for asset, amount in balances.items())


def fold_rows(summary: DemoSummary) -> Iterator[tuple[str, ...]]:
    for each in summary.pairs:
        for fold, speed in zip(each.folds, each.frames_per_second, strict=True):
            yield (
                str(each.pair),
                f"{fold.test_month:%Y-%m}",
                f"{fold.policy.total_return:+.2%}",
                f"{fold.buy_and_hold.total_return:+.2%}",
                f"{fold.cash.total_return:+.2%}",
                f"{fold.policy.annualised_sharpe:+.2f}",
                f"{fold.policy.maximum_drawdown:.2%}",
                str(fold.policy.trades),
                f"{speed:,.0f}",
            )


def order_title(order: PlacedOrder) -> str:
    intent = order.receipt["intent"]
    time = order.receipt["decided_at"][:16].replace("T", " ")
    return f"{time} {intent['side']} {_amount(intent['quantity'])} {order.pair}"


def order_text(order: PlacedOrder) -> str:
    return explain(order.receipt, order.order, order.fills)


def order_row(order: PlacedOrder, orders: Sequence[PlacedOrder]) -> tuple[str, ...]:
    intent, fill = order.receipt["intent"], next(iter(order.fills), None)
    return (
        order.receipt["decided_at"][:16].replace("T", " "),
        order.pair,
        f"{intent['side']} {_amount(intent['quantity'])}",
        _amount(fill.price) if fill else "",
        _amount(intent["stop_loss"]),
        _amount(intent["take_profit"]),
        f"{_amount(f'{fill.fee:.3g}')} {fill.fee_asset}" if fill else "",
        _fate(order, orders),
    )


def _fate(order: PlacedOrder, orders: Sequence[PlacedOrder]) -> str:
    if not order.fills:
        return order.order.reason or order.order.status.value if order.order else "not sent"
    if not order.is_entry:
        return f"closes: {order.receipt['why']}"
    if order.closing is None:
        return "open"
    ordered = {each.order.intent_id for each in orders if each.order}
    how = "closed" if order.closing.intent_id in ordered else "stopped"  # a stop is no decision's order
    return f"{how} {order.closing.filled_at:%Y-%m-%d %H:%M}"


def _amount(value: Decimal | str | None) -> str:
    """Write at most eight digits, never as a power of ten."""
    if value is None:
        return ""
    return np.format_float_positional(float(value), precision=8, unique=True, fractional=False, trim="-")
