"""Halts on the newest quotes: found by the decisions' own rule, once, and never on half of the truth."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from streaming.guard.equity import DayOpening
from tests.streaming.guard.guard_case import BTC, CROSS, ETH, NOON, Case, view
from tests.trading.risk.risk_case import LIMITS
from trading.portfolio import equity
from trading.risk import Halt, HaltKind
from trading.risk.halts import EquityLevels, due_halts

HELD = {"USDT": Decimal(500), "ETH": Decimal(5)}  # 1,000 at 100


def kinds(case: Case) -> list[HaltKind]:
    return [each.kind for each in case.guard.findings(case.now).halts]


def test_a_lost_day_and_a_drawdown_are_found_at_the_middle_of_the_book() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.look(94.06)  # the middle is 94.11: 2.945 % of the equity are lost
    assert kinds(case) == []
    case.look(93.94)
    assert kinds(case) == [HaltKind.DAILY_LOSS]
    case.look(79.9)
    assert kinds(case) == [HaltKind.DAILY_LOSS, HaltKind.DRAWDOWN]
    assert case.guard.equity == 500 + 5 * 79.95


def test_a_halt_is_found_once_and_again_only_after_it_has_ended() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.look(90.0)
    found = case.guard.findings(case.now)
    case.look(89.0)
    assert case.guard.findings(case.now) == found
    case.guard.stored(found, case.now)
    case.guard.learn(view(balances=HELD, halts=found.halts))
    case.look(88.0)
    assert kinds(case) == []
    next_day = timedelta(days=1)
    case.at += next_day
    case.guard.learn_opening(DayOpening((NOON + next_day).date(), Decimal(1000), 0))
    case.look(88.0)
    assert kinds(case) == [HaltKind.DAILY_LOSS]


def test_a_halt_that_another_process_has_begun_meanwhile_is_not_begun_again() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.look(90.0)
    theirs = Halt(HaltKind.DAILY_LOSS, case.at - timedelta(seconds=1), NOON + timedelta(hours=12), "lost")
    case.guard.learn(view(balances=HELD, halts=(theirs,)))
    assert kinds(case) == []


def test_while_one_price_is_not_seen_no_loss_is_judged() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD | {"BTC": Decimal(1)}, peak=Decimal(2000)))
    case.look(50.0)
    assert kinds(case) == []
    assert case.guard.blind == {BTC: "no quote yet"}
    case.look(100.0, pair=BTC)
    assert kinds(case) == [HaltKind.DRAWDOWN, HaltKind.DAILY_LOSS]


def test_money_that_is_taken_out_is_no_loss() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.look(100.0)
    taken = view(balances=HELD | {"USDT": Decimal(100)}, peak=Decimal(600), adjustments=1)
    case.guard.learn(taken)
    case.look(100.0)
    assert kinds(case) == []
    assert case.guard.refusals["", "no day's opening"] == 1
    assert not case.guard.knows_opening(case.at)
    case.guard.learn_opening(DayOpening(NOON.date(), Decimal(600), 1))
    case.look(100.0)
    assert kinds(case) == []
    case.look(96.3)
    assert kinds(case) == [HaltKind.DAILY_LOSS]


def test_yesterday_s_opening_says_nothing_of_today() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.at += timedelta(days=1)
    case.look(50.0)
    assert kinds(case) == []


def test_an_asset_that_only_decisions_can_value_leaves_losses_to_them() -> None:
    case = Case()
    case.guard.learn(view(balances=HELD))
    case.guard.learn_opening(DayOpening(NOON.date(), Decimal(1000), 0, ("DOGE",)))
    case.look(50.0)
    assert kinds(case) == []
    assert case.guard.refusals["", "an asset that is not streamed"] == 1


AMOUNTS = st.decimals(Decimal("0.0001"), Decimal(10_000), places=4)
PRICES = st.floats(0.01, 50_000)


@given(
    amounts=st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), prices=st.tuples(PRICES, PRICES),
    share=st.sampled_from([0.9, 0.97]), nudge=st.integers(-2, 2),
)  # fmt: skip
def test_the_quick_comparison_finds_whatever_the_exact_rule_finds(
    amounts: tuple[Decimal, Decimal, Decimal], prices: tuple[float, float], share: float, nudge: int
) -> None:
    case = Case(pairs=(BTC, CROSS))
    balances = dict(zip(("USDT", "BTC", "ETH"), amounts, strict=True))
    for pair, price in zip((BTC, CROSS), prices, strict=True):
        case.quote(price, pair=pair, spread=0.0)
    mids = {pair: Decimal(repr(case.quotes[pair].mid)) for pair in (BTC, CROSS)}
    value = equity(balances, "USDT", mids)
    level = value / Decimal(str(share)) + nudge * Decimal("1e-12") * value
    case.guard.learn(view(balances=balances, peak=level))
    case.guard.learn_opening(DayOpening(NOON.date(), level, 0))
    case.look()
    exact = due_halts(EquityLevels(value, level, level), (), (), LIMITS, case.at, timedelta(minutes=1))
    assert list(case.guard.findings(case.now).halts) == exact


def test_a_peak_that_nobody_has_measured_yet_is_no_drawdown() -> None:
    case = Case()
    case.guard.learn(replace(view(balances=HELD), peak=None))
    case.look(50.0)
    assert kinds(case) == [HaltKind.DAILY_LOSS]


def test_an_asset_in_another_quote_is_valued_through_both_books() -> None:
    case = Case(pairs=(BTC, CROSS))
    case.guard.learn(view(balances={"ETH": Decimal(2)}))
    case.quote(100.0, pair=BTC, spread=0.0)
    case.quote(0.05, pair=CROSS, spread=0.0)
    case.look()
    assert case.guard.equity == 2 * 0.05 * 100
    assert ETH not in case.guard.blind
