"""Orders without an outcome are an input: nothing is ordered beside them, and what nobody wants is cancelled."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ml.decision.decide import decide, protective_exit
from ml.decision.explanation import explain
from ml.decision.inputs import DecisionInputs
from tests.ml.decision.trading_day import FALLING, PAIR, RISING, RULES, decision_inputs
from trading.market import Pair
from trading.orders import Order, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import Position
from trading.risk import Halt, HaltKind

QUIET = 0.0


def working(
    inputs: DecisionInputs,
    name: str,
    side: Side,
    *,
    pair: Pair = PAIR,
    reduces: bool = False,
    trigger: str | None = None,
    status: OrderStatus = OrderStatus.UNKNOWN,
) -> WorkingOrder:
    intent = OrderIntent(
        intent_id=name,
        decision_id=name,
        account=inputs.account,
        pair=pair,
        side=side,
        quantity=Decimal("0.001"),
        reduces=reduces,
        stop_loss=None,
        take_profit=None,
        created_at=inputs.decided_at - timedelta(hours=1),
        trigger=Decimal(trigger) if trigger else None,
    )
    return WorkingOrder(intent, Order(name, status, "no answer", inputs.decided_at))


def with_entry(drift: float, side: Side) -> DecisionInputs:
    inputs = decision_inputs(drift)
    return replace(inputs, working=(working(inputs, "entry", side),))


def holding(inputs: DecisionInputs, hit: str = "") -> DecisionInputs:
    position = Position(
        inputs.account, PAIR, Decimal("0.001"), Decimal(50_000), Decimal(1), None, inputs.decided_at, exit_reason=hit
    )  # fmt: skip
    return replace(inputs, position=position)


def test_beside_an_exit_without_an_outcome_no_second_one_is_ordered() -> None:
    inputs = holding(decision_inputs(FALLING))
    assert decide(inputs, RULES).intent  # it would be closed
    under_way = replace(inputs, working=(working(inputs, "exit", Side.SELL, reduces=True),))
    held = decide(under_way, RULES)
    assert (held.intent, held.receipt["action"]) == (None, "HOLD")
    assert "an exit is under way: sell 0.001 BTC, unknown since" in held.receipt["why"]
    hit = holding(under_way, hit="take-profit 1 was touched (at 2)")
    assert protective_exit(hit, RULES) is None
    assert decide(hit, RULES).intent is None


def test_beside_an_exit_whose_position_is_gone_already_nothing_is_opened() -> None:
    inputs = decision_inputs(RISING)
    assert decide(inputs, RULES).intent
    assert (
        decide(replace(inputs, working=(working(inputs, "exit", Side.SELL, reduces=True),)), RULES).intent
        is None
    )


def test_a_stop_that_rests_is_no_exit_under_way() -> None:
    inputs = holding(decision_inputs(FALLING))
    resting = working(inputs, "stop", Side.SELL, reduces=True, trigger="1", status=OrderStatus.ACKNOWLEDGED)
    intent = decide(replace(inputs, working=(resting,)), RULES).intent
    assert intent is not None
    assert intent.reduces


def test_an_entry_that_is_still_wanted_is_left_alone_and_gets_no_second_one() -> None:
    decided = decide(with_entry(RISING, Side.BUY), RULES)
    assert (decided.intent, decided.cancels) == (None, ())
    assert "an entry is still to be filled: buy 0.001 BTC" in decided.receipt["why"]


@pytest.mark.parametrize(("drift", "side"), [(FALLING, Side.BUY), (RISING, Side.SELL)])
def test_a_turn_of_the_consensus_cancels_the_entry_and_orders_nothing_beside_it(
    drift: float, side: Side
) -> None:
    decided = decide(with_entry(drift, side), RULES)
    assert (decided.intent, decided.cancels) == (None, ("entry",))
    assert "is cancelled first" in decided.receipt["why"]
    assert decided.receipt["cancels"]["entry"].startswith("the consensus wants")
    assert "cancels" in explain(decided.receipt, None)


def test_an_entry_that_nobody_would_order_now_is_cancelled_too() -> None:
    decided = decide(with_entry(QUIET, Side.BUY), RULES)
    assert decided.receipt["consensus"]["action"] == "HOLD"
    assert decided.cancels == ("entry",)


def test_closing_a_position_cancels_the_rest_of_its_entry_first() -> None:
    inputs = holding(with_entry(FALLING, Side.BUY))
    decided = decide(inputs, RULES)
    assert decided.intent is not None
    assert decided.intent.reduces
    assert decided.cancels == ("entry",)
    staying = decide(holding(with_entry(RISING, Side.BUY)), RULES)
    assert (staying.intent, staying.cancels) == (None, ())
    hit = protective_exit(holding(with_entry(RISING, Side.BUY), hit="take-profit"), RULES)
    assert hit is not None
    assert hit.cancels == ("entry",)


def test_a_halt_cancels_every_entry_of_the_account_whatever_the_votes_say() -> None:
    inputs = decision_inputs(RISING)
    halt = Halt(HaltKind.DRAWDOWN, inputs.decided_at, None, "a tenth")
    orders = (
        working(inputs, "own", Side.BUY),
        working(inputs, "other", Side.SELL, pair=Pair("XRP", "USDT")),
        working(inputs, "exit", Side.SELL, pair=Pair("XRP", "BTC"), reduces=True),
        working(inputs, "stop", Side.SELL, pair=Pair("XRP", "BTC"), reduces=True, trigger="1"),
    )
    halted = replace(inputs, working=orders, state=replace(inputs.state, halts=(halt,)))
    decided = decide(halted, RULES)
    assert decided.cancels == ("own", "other")
    assert decided.receipt["cancels"]["other"] == "halted: drawdown"
    assert decided.intent is None


def test_entries_of_other_pairs_stay_while_nothing_is_halted() -> None:
    inputs = decision_inputs(FALLING)
    other = working(inputs, "other", Side.BUY, pair=Pair("XRP", "USDT"))
    assert decide(replace(inputs, working=(other,)), RULES).cancels == ()


def test_the_receipt_shows_free_balances_and_every_order_without_an_outcome() -> None:
    receipt = decide(with_entry(RISING, Side.BUY), RULES).receipt
    [order] = receipt["inputs"]["orders"]
    assert (order["kind"], order["status"], order["remaining"]) == ("entry", "unknown", "0.001")
    assert receipt["inputs"]["free"] == {"USDT": "1000", "BTC": "0.02"}
    text = explain(receipt, None)
    assert "buy 0.001 BTC/USDT, entry, unknown" in text
    assert "free       1000 USDT, 0.02 BTC" in text


def test_a_receipt_that_does_not_know_what_was_free_does_not_say_that_nothing_was() -> None:
    receipt = decide(decision_inputs(RISING), RULES).receipt
    inputs = {name: each for name, each in receipt["inputs"].items() if name != "free"}
    assert "  free " not in explain({**receipt, "inputs": inputs}, None)
    assert "  free       nothing" in explain({**receipt, "inputs": {**inputs, "free": {}}}, None)
