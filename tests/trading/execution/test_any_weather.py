"""Whatever happens in whatever order: nothing is sold that is not held, nothing is lost, and all ends protected."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.doubles.venue import Fault, done, failing, lost, never_arrived
from tests.trading.execution.execution_case import ACCOUNT, BTC, ETH, Case, Killed
from tests.trading.execution.test_kills import KillAt
from trading.errors import RateLimited, VenueUnreachable
from trading.market import Pair
from trading.orders import OrderKind, Side

METHODS = ("submit", "cancel", "reports", "stops_of", "amend")
FAULTS: tuple[Fault, ...] = (
    done, lost, never_arrived, failing(VenueUnreachable("down")), failing(RateLimited("wait")),
)  # fmt: skip
PAIRS = st.sampled_from([BTC, ETH])


@dataclass(frozen=True)
class Enter:
    pair: Pair
    side: Side


@dataclass(frozen=True)
class Leave:
    pair: Pair


@dataclass(frozen=True)
class Trade:
    pair: Pair
    price: int


@dataclass(frozen=True)
class Fill:
    pair: Pair
    tenths: int


@dataclass(frozen=True)
class Break:
    method: str
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class Hold:
    pair: Pair
    holds: bool


@dataclass(frozen=True)
class Work:
    kill_at: int  # the step boundary at which the process dies
    seconds: int  # that pass after it


STEPS = st.one_of(
    st.builds(Enter, PAIRS, st.sampled_from(Side)),
    st.builds(Leave, PAIRS),
    st.builds(Trade, PAIRS, st.integers(95, 112)),
    st.builds(Fill, PAIRS, st.integers(1, 10)),
    st.builds(
        Break,
        st.sampled_from(METHODS),
        st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Hold, PAIRS, st.booleans()),
    st.builds(Work, st.integers(1, 60), st.integers(1, 90)),
)


def take(case: Case, step: object) -> None:
    match step:
        case Enter(pair, side) if _is_flat(case, pair):
            case.entry(pair, side=side)
        case Leave(pair):
            case.exit(pair)
        case Trade(pair, price):
            low, high = sorted([float(case.venue.prices[pair]), float(price)])
            case.wait(minutes=1)
            case.venue.trade_at(pair, Decimal(price))
            case.candle(low, high, float(price), pair)
        case Fill(pair, tenths):
            waiting = [each for each in case.venue.orders.values() if each.pair == pair and each.left]
            for each in waiting:
                if each.kind is not OrderKind.STOP:
                    case.venue.fill(each, min(each.left, Decimal(tenths) / 10))
        case Break(method, faults):
            case.venue.faults[method] += faults
        case Hold(pair, holds):
            (case.venue.holds.add if holds else case.venue.holds.discard)(pair)
        case Work(kill_at, seconds):
            kill = KillAt(kill_at)
            with suppress(Killed):
                case.carry_out(holder=f"one-{case.clock.now}", checkpoint=kill, killed=kill.killed)
            case.wait(seconds=seconds)


def _is_flat(case: Case, pair: Pair) -> bool:
    """As a decision sees it: nothing held, nothing on its way."""
    on_their_way = [each for each in case.journal.working_orders(ACCOUNT) if each.intent.pair == pair]
    return case.position(pair) is None and not on_their_way


@example(  # a fill long after the sending, whose stop is listed long after the fill
    steps=[Enter(BTC, Side.BUY), Hold(BTC, True), Work(6, 22)], with_entry=True, lists_after=40
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(STEPS, max_size=25), with_entry=st.booleans(), lists_after=st.sampled_from([0, 0, 3, 40])
)
def test_any_story_ends_with_equal_books_and_a_stop_over_everything_held(
    steps: list[object], with_entry: bool, lists_after: int
) -> None:
    case = Case()
    case.venue.closes_with_entry = with_entry
    case.venue.lists_after = timedelta(seconds=lists_after)
    if not with_entry:
        case.venue.margin = timedelta(seconds=lists_after + 1)
    for step in steps:
        take(case, step)
        assert case.venue.excess == []
    case.venue.faults.clear()
    case.venue.holds.clear()
    for each in list(case.venue.orders.values()):
        if each.left and each.kind is not OrderKind.STOP:
            case.venue.fill(each)
    case.carry_out_until_done(calls=20)
    case.check_books()
