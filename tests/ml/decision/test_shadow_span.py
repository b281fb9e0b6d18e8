"""Shadow decisions over a span: one per stored candle, a challenger beside the champion, nothing else changed."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ml.agents.opinions import Action
from ml.decision.shadow import shadow_account
from ml.decision.shadow_span import ShadowCandle, ShadowOutcome, ShadowTotals, shadow_moments, shadow_span
from tests.ml.decision.decision_world import ACCOUNT
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR, RULES
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Side

HOUR = timedelta(hours=1)
SPAN = 4


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    """A rising market; the challenger is another network of random weights than the champion."""
    made = ReplayWorld(tmp_path)
    made.reader.account.ensure_open(made.newest - 9 * HOUR)
    return made


def challenger(world: ReplayWorld) -> str:
    """A policy that is there and has not been promoted last."""
    champion, other = world.champion, world.promote(seed=1)
    world.promotions.record(PAIR, champion, True, {}, at=world.newest - 9 * HOUR)
    return other


def decide(world: ReplayWorld, policy: str = "", hours: int = SPAN) -> list[ShadowCandle]:
    moments = shadow_moments(world.reader, PAIR, world.newest - (hours - 1) * HOUR, None)
    return list(shadow_span(PAIR, moments, world.reader, RULES, world.journal, policy))


def test_every_candle_that_closed_in_the_span_is_decided_on_once(world: ReplayWorld) -> None:
    start = world.newest - 3 * HOUR
    moments = shadow_moments(world.reader, PAIR, start, world.newest)
    assert moments == [start, start + HOUR, start + 2 * HOUR]  # the end is exclusive
    candles = list(shadow_span(PAIR, moments, world.reader, RULES, world.journal))
    assert [each.closed_at for each in candles] == moments
    assert len(world.journal.decisions(shadow_account(ACCOUNT.name, ""))) == 3


def test_without_an_end_it_goes_up_to_the_newest_candle(world: ReplayWorld) -> None:
    assert shadow_moments(world.reader, PAIR, world.newest - HOUR, None)[-1] == world.newest


def test_nothing_of_the_account_changes(world: ReplayWorld) -> None:
    decide(world, challenger(world))
    assert world.journal.decisions(ACCOUNT.name) == []
    assert world.journal.working_orders(ACCOUNT.name) == []
    assert world.journal.fills(ACCOUNT.name) == []


def test_the_challenger_decides_on_the_same_candles_under_its_own_name(world: ReplayWorld) -> None:
    policy = challenger(world)
    candles = decide(world, policy)
    recorded = world.journal.decisions(shadow_account(ACCOUNT.name, policy))
    assert [each.challenger.decision_id for each in candles if each.challenger] == [
        each["decision_id"] for each in reversed(recorded)
    ]
    assert {each["inputs"]["policy_id"] for each in recorded} == {policy}


def test_the_same_span_again_is_the_same_decisions(world: ReplayWorld) -> None:
    policy = challenger(world)
    first = decide(world, policy)
    assert decide(world, policy) == first
    assert len(world.journal.decisions(shadow_account(ACCOUNT.name, policy))) == SPAN


def test_a_pair_that_is_not_traded_and_a_span_without_a_candle_are_refused(world: ReplayWorld) -> None:
    with pytest.raises(InvalidValue, match="ETH/USDT is not traded: choose one of BTC/USDT"):
        shadow_moments(world.reader, Pair("ETH", "USDT"), world.newest, None)
    later = world.newest + HOUR
    with pytest.raises(
        NotStored,
        match=f"closed from {later:%Y-%m-%d %H:%M} on; the market's time is {world.newest:%Y-%m-%d %H:%M}",
    ):
        shadow_moments(world.reader, PAIR, later, None)
    with pytest.raises(InvalidValue, match="ends before it begins"):
        shadow_moments(world.reader, PAIR, later, world.newest)


def outcome(
    action: Action, side: Side | None = None, quantity: str | None = None, *, refused: bool = False
) -> ShadowOutcome:
    return ShadowOutcome("id", action, "", refused, side, None if quantity is None else Decimal(quantity))


def test_totals_count_actions_refusals_and_what_would_have_been_ordered() -> None:
    totals = ShadowTotals.of(
        [
            outcome(Action.LONG, Side.BUY, "0.01"),
            outcome(Action.LONG, Side.BUY, "0.02"),
            outcome(Action.SHORT, Side.SELL, "0.5"),
            outcome(Action.LONG, refused=True),
            outcome(Action.HOLD),
        ]
    )
    assert totals.decisions == 5
    assert totals.actions == {Action.LONG: 3, Action.SHORT: 1, Action.HOLD: 1, Action.CLOSE: 0}
    assert totals.refused == 1
    assert totals.orders == {Side.BUY: 2, Side.SELL: 1}
    assert totals.quantities == {Side.BUY: Decimal("0.03"), Side.SELL: Decimal("0.5")}


def test_an_outcome_has_the_order_of_its_receipt(world: ReplayWorld) -> None:
    [newest] = decide(world, hours=1)
    receipt = world.journal.decision(newest.champion.decision_id)
    assert newest.champion.action == receipt["action"] == "LONG"
    assert newest.champion.side is Side.BUY
    assert str(newest.champion.quantity) == receipt["intent"]["quantity"]


@pytest.mark.parametrize(
    ("own", "other", "agrees", "held"),
    [
        (Action.LONG, Action.LONG, True, False),
        (Action.LONG, Action.HOLD, False, False),
        (Action.HOLD, Action.LONG, False, False),
        (Action.HOLD, Action.HOLD, True, True),
        (Action.LONG, None, True, False),
    ],
    ids=str,
)
def test_both_agree_where_the_action_is_the_same(
    world: ReplayWorld, own: Action, other: Action | None, agrees: bool, held: bool
) -> None:
    candle = ShadowCandle(world.newest, outcome(own), None if other is None else outcome(other))
    assert (candle.agrees, candle.is_held) == (agrees, held)
