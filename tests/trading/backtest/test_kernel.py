"""The kernel equals the plain reference; laws hold for any market, plan and rules."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from tests.trading.backtest.backtest_markets import (
    DAY,
    DEAR,
    FREE,
    HOUR,
    START,
    Case,
    bars,
    random_case,
    rules,
    steady,
)
from tests.trading.backtest.reference_backtest import Reference
from trading.backtest import (
    LEAVE_LONG,
    LEAVE_SHORT,
    Backtest,
    Bars,
    Decisions,
    Margin,
    OpenPosition,
    Plan,
    run,
    run_exposures,
)
from trading.errors import InvalidValue
from trading.fills import Costs

NAN = np.nan
CASES = 2000
SOME = range(CASES, CASES + 150)
LENT = Margin(opening_fee=0.0002, rollover_fee=0.0002, rollover_hours=4.0, liquidation_level=0.4)


def follow(case: Case, opening_equity: float = 1000.0) -> Backtest:
    return run(case.bars, case.plan, case.rules, opening_equity, case.path)


def plan(*targets: float, **distances: float) -> Plan:
    return Plan(np.array(targets, dtype=np.float64), **distances)


def test_every_fill_pays_the_fee_of_its_own_day() -> None:
    whole = Plan(np.array([1.0, 0.0] * 36))
    days = [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 3)]
    first = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    market = bars(*[(100.0, 100.0, 100.0, 100.0)] * 72, start=first)
    dated = rules(taker_fees=((days[1], 0.001), (days[2], 0.004), (date(2020, 1, 4), 0.05)))
    fills = run(market, whole, dated).fills
    paid = {
        day: set((rows["fee"] / (rows["quantity"].abs() * rows["price"])).round(9))
        for (day,), rows in fills.group_by(fills["time"].dt.date())
    }
    assert paid == {days[0]: {0.001}, days[1]: {0.001}, days[2]: {0.004}}


def test_the_fees_of_every_day_are_multiplied_with_the_other_costs() -> None:
    dated = rules(taker_fees=((date(2020, 1, 1), 0.001), (date(2020, 1, 2), 0.004)))
    assert [fee for _, fee in dated.at_costs(2.0).taker_fees] == [0.002, 0.008]


@pytest.mark.parametrize(
    "fees", [((date(2020, 1, 2), 0.001), (date(2020, 1, 1), 0.002)), ((date(2020, 1, 1), 0.2),)]
)
def test_fees_that_make_no_sense_are_refused(fees: tuple[tuple[date, float], ...]) -> None:
    with pytest.raises(InvalidValue, match="taker_fees"):
        rules(taker_fees=fees)


def reasons(result: Backtest) -> list[str]:
    return result.trades["reason"].to_list()


def everything(result: Backtest) -> dict[str, object]:
    return {
        "equity": result.equity.tolist(),
        "held": result.quantity.tolist(),
        "daily": result.daily_equity.tolist(),
        "fills": [
            tuple(
                result.fill_records[name][row].item() for name in ("time", "quantity", "price", "fee", "held")
            )
            for row in range(len(result.fill_records))
        ],
        "trades": [
            {name: trade[name].item() for name in trade.dtype.names if name != "reason"}
            for trade in result.trade_records
        ],
        "fill reasons": result.fills["reason"].to_list(),
        "trade reasons": reasons(result),
        "drawdown": result.totals.max_drawdown,
        "turnover": result.totals.turnover,
        "refused": {rule: count for rule, count in result.totals.refused.items() if count},
        "paused": result.totals.paused_at and round(result.totals.paused_at.timestamp() * 1e6),
    }


def expected(case: Case) -> dict[str, object]:
    return facts_of(Reference(case.bars, case.plan, case.rules, 1000.0, case.path).run())


def facts_of(reference: Reference) -> dict[str, object]:
    return {
        "equity": reference.equity,
        "held": reference.held,
        "daily": reference.daily,
        "fills": [
            (fill["time"], fill["quantity"], fill["price"], fill["fee"], fill["held"])
            for fill in reference.fills
        ],
        "trades": [
            {name: value for name, value in trade.items() if name != "reason"} for trade in reference.trades
        ],
        "fill reasons": [fill["reason"] for fill in reference.fills],
        "trade reasons": [trade["reason"] for trade in reference.trades],
        "drawdown": reference.drawdown,
        "turnover": reference.turnover,
        "refused": reference.refused,
        "paused": reference.paused_at,
    }


@pytest.mark.parametrize("hundred", range(CASES // 100))
def test_the_kernel_equals_the_plain_reference_to_the_bit(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        case = random_case(seed)
        assert everything(follow(case)) == expected(case), f"seed {seed}"


def random_opening(case: Case, seed: int) -> OpenPosition:
    """A long or short whose levels lie around the first open, some of them beyond it already."""
    random = np.random.default_rng(seed)
    side, price = float(random.choice([-1.0, 1.0])), float(case.bars.open[0])

    def level(side: float) -> float:
        return NAN if random.random() < 0.3 else price * max(1 + side * random.uniform(-0.01, 0.1), 1e-3)

    return OpenPosition(
        quantity=side * random.uniform(0.01, 1.5) * 1000.0 / price,
        entry_price=price * random.uniform(0.9, 1.1),
        stop=level(-side),
        take_profit=level(side),
        trailing_after=level(side),
        trailing_distance=NAN if random.random() < 0.3 else price * random.uniform(0.001, 0.1),
        best_price=level(side),
    )


def test_from_an_open_position_the_kernel_equals_the_plain_reference_to_the_bit() -> None:
    ended = set()
    for seed in SOME:
        case = random_case(seed)
        opening = random_opening(case, seed)
        result = run(case.bars, case.plan, case.rules, 1000.0, case.path, opening)
        reference = Reference(case.bars, case.plan, case.rules, 1000.0, case.path, opening).run()
        assert everything(result) == facts_of(reference), f"seed {seed}"
        ended.add(reasons(result)[0])
    assert ended == {"signal", "stop", "take_profit", "trailing", "end"}


def test_an_open_position_counts_at_the_first_open_and_its_levels_hold_from_there() -> None:
    market = bars((100, 101, 99, 100), (100, 100, 94, 95), (95, 95, 95, 95))
    held = OpenPosition(quantity=2.0, entry_price=90.0, stop=95.0, take_profit=120.0)
    result = run(market, plan(NAN, NAN, NAN), rules(), 1000.0, opening=held)
    assert result.equity.tolist() == [1000.0, 990.0, 990.0]
    assert result.trades.select("entry_price", "exit_price", "pnl", "reason").rows() == [
        (90.0, 95.0, 10.0, "stop")
    ]


@pytest.mark.parametrize("changes", [{"quantity": 0.0}, {"entry_price": NAN}, {"stop": -1.0}])
def test_an_open_position_that_cannot_be_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(changes))):
        OpenPosition(**{"quantity": 1.0, "entry_price": 1.0, **changes})


def test_the_random_cases_reach_every_ending_and_every_refusal() -> None:
    results = [follow(random_case(seed)) for seed in range(CASES)]
    ended = {reason for result in results for reason in reasons(result)}
    refused = {rule for result in results for rule, count in result.totals.refused.items() if count}
    assert ended == {"signal", "stop", "take_profit", "trailing", "liquidation", "end"}
    assert refused == {
        "insolvent",
        "shorts",
        "leverage",
        "drawdown_pause",
        "daily_loss",
        "cool_down",
        "earlier_exit",
    }
    # Parts were bought and sold.
    assert any(result.totals.fills > 2 * result.totals.trades for result in results)
    assert any(result.path_candles for result in results)
    assert any(result.totals.margin_costs for result in results)


def test_what_trades_earned_is_what_equity_gained() -> None:
    for seed in SOME:
        result = follow(random_case(seed))
        moved = 1000.0 + result.trades["pnl"].abs().sum()
        assert result.equity[-1] == pytest.approx(1000.0 + result.trades["pnl"].sum(), abs=1e-9 * moved)


def test_sums_are_those_of_the_tables() -> None:
    for seed in SOME:
        result = follow(random_case(seed))
        totals, trades = result.totals, result.trades
        assert totals.fees == pytest.approx(result.fills["fee"].sum())
        assert totals.margin_costs == pytest.approx(trades["margin_cost"].sum())
        assert totals.gross_profit - totals.gross_loss == pytest.approx(trades["pnl"].sum())
        assert (totals.trades, totals.winners) == (trades.height, (trades["pnl"] > 0).sum())
        assert totals.final_equity == result.equity[-1]
        assert totals.max_drawdown == pytest.approx(
            (1 - result.equity / np.maximum.accumulate(np.append(1000.0, result.equity))[1:]).max(initial=0.0)
        )
        assert totals.fees >= 0
        assert totals.margin_costs >= 0


def test_no_fill_is_outside_what_its_candle_reached_and_costs_make_worse() -> None:
    for seed in SOME:
        case = random_case(seed)
        fills = follow(case).fill_records
        per_side = case.rules.costs.half_spread + case.rules.costs.slippage
        high, low = case.bars.high[fills["candle"]], case.bars.low[fills["candle"]]
        bought = fills["quantity"] > 0
        assert (fills["price"] <= np.where(bought, high * (1 + per_side), high) * (1 + 1e-15)).all()
        assert (fills["price"] >= np.where(bought, low, low * (1 - per_side)) * (1 - 1e-15)).all()


def test_no_order_comes_before_its_decision() -> None:
    for seed in SOME:
        case = random_case(seed)
        signals = follow(case).fill_records
        signals = signals[signals["reason"] == 0]
        assert isinstance(case.plan.target, np.ndarray)
        assert (signals["candle"] > 0).all()
        decided = ~np.isnan(case.plan.target) | (0 if case.plan.leaves is None else case.plan.leaves > 0)
        assert decided[signals["candle"] - 1].all()
        assert (signals["time"] == case.bars.open_time[signals["candle"]]).all()


def test_twice_the_money_is_twice_everything() -> None:
    for seed in SOME:
        case = random_case(seed)
        once, twice = follow(case, 512.0), follow(case, 1024.0)
        assert (2 * once.equity == twice.equity).all()
        assert (2 * once.trade_records["pnl"] == twice.trade_records["pnl"]).all()
        assert (2 * once.fill_records["quantity"] == twice.fill_records["quantity"]).all()
        assert once.totals.turnover == twice.totals.turnover


def test_a_future_that_is_cut_off_changes_nothing_before() -> None:
    for seed in SOME:
        case = random_case(seed)
        cut = int(np.random.default_rng(seed).integers(1, len(case.bars) + 1))
        whole, part = follow(case), follow(shortened(case, cut))
        assert whole.equity[:cut].tolist() == part.equity.tolist()
        before = whole.fill_records["candle"] < cut
        assert whole.fill_records[before].tolist() == part.fill_records.tolist()


def shortened(case: Case, cut: int) -> Case:
    def head(whole: Bars, count: int) -> Bars:
        columns = {
            name: getattr(whole, name)[:count] for name in ("open_time", "open", "high", "low", "close")
        }
        return replace(whole, **columns)

    def distance(whole: object) -> object:
        return whole[:cut] if isinstance(whole, np.ndarray) else whole

    names = ("target", "stop", "take_profit", "trailing", "leaves")
    plan = replace(case.plan, **{name: distance(getattr(case.plan, name)) for name in names})  # type: ignore[arg-type]
    path = case.path
    if path is not None:
        path = head(
            path, max(1, int((path.open_time < case.bars.open_time[cut - 1] + case.bars.length).sum()))
        )
    return replace(case, bars=head(case.bars, cut), plan=plan, path=path)


def test_an_account_that_borrows_nothing_never_owes() -> None:
    for seed in SOME:
        case = random_case(seed)
        spot = replace(case, rules=replace(case.rules, shorts=False, margin=None, leverage=1.0))
        result = follow(spot)
        assert (result.equity > 0).all()
        assert (result.quantity >= 0).all()
        assert (result.exposure <= 1 + 1e-12).all()


def test_the_same_inputs_give_the_same_result_to_the_bit() -> None:
    case = random_case(3)
    assert everything(follow(case)) == everything(follow(case))


@pytest.mark.parametrize("costs", [FREE, DEAR])
def test_all_in_and_all_out_is_what_the_training_environment_computes(costs: Costs) -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        candles = random_case(seed).bars
        exposures = random.integers(0, 2, len(candles)).astype(np.float64)
        followed = run_exposures(exposures, candles.open, candles.close, costs)
        result = run(candles, Plan(exposures), rules(costs=costs))
        # the environment marks at the next open, the back-test at the close: they meet at the last candle
        assert result.equity[-1] == pytest.approx(followed.equity[-1], rel=1e-12)
        assert result.totals.fees == pytest.approx(followed.fees, rel=1e-12)
        assert result.totals.turnover == pytest.approx(followed.turnover, rel=1e-12)
        assert (result.totals.fills, result.totals.trades) == (followed.orders, followed.trades)


# One rule each, in numbers that can be checked by hand.


def test_a_decision_is_executed_at_the_next_open() -> None:
    result = run(bars((1, 1, 1, 1), (2, 9, 2, 9), (3, 3, 3, 3)), plan(1, NAN, 0), rules())
    assert result.equity.tolist() == [1.0, 4.5, 1.5]
    assert result.fills["price"].to_list() == [2.0]


def test_a_stop_fills_at_its_level_made_worse_by_costs() -> None:
    costs = Costs(0.0, 0.01, 0.0)
    result = run(bars((100, 100, 100, 100), (100, 100, 80, 95)), plan(1, NAN, stop=0.1), rules(costs=costs))
    assert result.fills["price"].to_list() == [101.0, 101.0 * 0.9 * 0.99]
    assert reasons(result) == ["stop"]


def test_a_gap_through_the_stop_fills_at_the_open() -> None:
    candles = bars((100, 100, 100, 100), (100, 100, 100, 100), (70, 75, 60, 75))
    assert run(candles, plan(1, NAN, NAN, stop=0.1), rules()).fills["price"].to_list() == [100.0, 70.0]


def test_a_gap_beyond_the_target_fills_at_the_open() -> None:
    candles = bars((100, 100, 100, 100), (100, 100, 100, 100), (130, 140, 60, 75))
    result = run(candles, plan(1, NAN, NAN, stop=0.1, take_profit=0.2), rules())
    assert (result.fills["price"].to_list(), reasons(result)) == ([100.0, 130.0], ["take_profit"])


def test_a_candle_that_touches_stop_and_target_is_taken_as_stopped() -> None:
    candles = bars((100, 100, 100, 100), (100, 200, 50, 100))
    long = run(candles, plan(1, NAN, stop=0.1, take_profit=0.1), rules())
    short = run(candles, plan(-1, NAN, stop=0.1, take_profit=0.1), rules(shorts=True))
    assert (reasons(long), reasons(short)) == (["stop"], ["stop"])
    assert (long.equity[-1], short.equity[-1]) == (pytest.approx(0.9), pytest.approx(0.9))


def test_finer_candles_show_whether_stop_or_target_came_first() -> None:
    candles = bars((100, 100, 100, 100), (100, 120, 80, 100), step=4 * HOUR)
    path = bars((100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 100, 100),
                (100, 120, 100, 120), (120, 120, 80, 80), (80, 80, 80, 80), (80, 100, 80, 100))  # fmt: skip
    wanted = plan(1, NAN, stop=0.1, take_profit=0.1)
    result = run(candles, wanted, rules(), path=path)
    assert reasons(result) == ["take_profit"]
    assert reasons(run(candles, wanted, rules())) == ["stop"]
    assert result.path_candles == 2


def test_a_path_of_the_candles_themselves_changes_nothing() -> None:
    for seed in SOME:
        case = random_case(seed)
        alone, along = replace(case, path=None), replace(case, path=case.bars)
        assert everything(follow(alone)) == everything(follow(along))


def test_a_trailing_stop_starts_after_its_gain_and_follows_the_rows_before() -> None:
    candles = bars((100, 100, 100, 100), (100, 109, 99, 109), (109, 120, 105, 120), (120, 120, 108, 112))
    wanted = plan(1, NAN, NAN, NAN, stop=0.1, trailing=0.1)
    result = run(candles, wanted, rules(trailing_after=1.0))
    # 109 gains less than the 10 risked; 120 moves the level to 110, for the candle after it
    assert (result.fills["price"].to_list(), reasons(result)) == ([100.0, 110.0], ["trailing"])


def test_a_position_that_was_stopped_stays_out_until_the_target_changes() -> None:
    falling = bars((100, 100, 100, 100), (100, 100, 80, 80), *[(80, 80, 80, 80)] * 4)
    result = run(falling, plan(1, 1, 1, 0, 1, 1, stop=0.1), rules())
    assert result.fills["side"].to_list() == ["buy", "sell", "buy"]
    assert result.fill_records["candle"].tolist() == [1, 1, 5]


@pytest.mark.parametrize("stop", [0.1, NAN])
def test_a_signal_after_a_refused_opposite_one_opens_however_the_position_before_had_ended(
    stop: float,
) -> None:
    falling = bars((100, 100, 100, 100), (100, 100, 80, 80), *[(80, 80, 80, 80)] * 5)
    result = run(falling, plan(1, NAN, -1, NAN, 1, NAN, NAN, stop=stop), rules())
    assert result.fills["side"].to_list() == ["buy", "sell", "buy"]
    assert result.totals.refused["shorts"] == 1


def test_a_smaller_target_that_was_refused_frees_the_one_that_a_stop_had_ended() -> None:
    falling = bars((100, 100, 100, 100), (100, 100, 80, 80), *[(80, 80, 80, 80)] * 24)
    targets = [1.0, *[NAN] * 3, 0.5, *[NAN] * 18, 1.0, NAN, NAN]  # candle 24 opens the next UTC day
    result = run(falling, plan(*targets, stop=0.1), rules(daily_loss=0.1))
    assert result.totals.refused["daily_loss"] == 1
    assert result.fill_records["candle"].tolist() == [1, 1, 24]


def test_a_signal_that_asks_again_for_what_a_stop_has_ended_is_counted_once() -> None:
    falling = bars((100, 100, 100, 100), (100, 100, 80, 80), *[(80, 80, 80, 80)] * 5)
    result = run(falling, plan(1, NAN, 1, 1, NAN, 1, NAN, stop=0.1), rules())
    assert (result.totals.fills, result.totals.refused["earlier_exit"]) == (2, 2)


def test_a_refused_target_that_stands_is_tried_again_and_one_that_does_not_is_lost() -> None:
    fallen = [(100, 100, 100, 100)] * 2 + [(100, 100, 50, 50)] + [(50, 50, 50, 50)] * 7
    candles, limited = bars(*fallen, step=3 * HOUR), rules(daily_loss=0.1)  # row 8 opens the next UTC day
    standing = run(candles, plan(1, NAN, 0, 1, 1, 1, 1, 1, 1, 1), limited)
    once = run(candles, plan(1, NAN, 0, 1, *[NAN] * 6), limited)
    assert standing.fill_records["candle"].tolist() == [1, 3, 8]
    assert once.fill_records["candle"].tolist() == [1, 3]
    assert (standing.totals.refused["daily_loss"], once.totals.refused["daily_loss"]) == (4, 1)


def test_a_drawdown_pauses_until_the_end_and_lets_the_position_leave() -> None:
    candles = bars((100, 100, 100, 100), (100, 100, 100, 100), (100, 100, 88, 88), *[(88, 88, 88, 88)] * 40)
    targets = [1.0, NAN, 0.0, 1.0] + [NAN] * 36 + [1.0] * 3
    result = run(candles, plan(*targets), rules(drawdown_pause=0.1))
    assert result.totals.paused_at is not None
    assert round(result.totals.paused_at.timestamp() * 1e6) == candles.open_time[2]
    assert result.fills["side"].to_list() == ["buy", "sell"]
    assert result.totals.refused["drawdown_pause"] == 3


def test_losses_in_a_row_cool_the_account_down_for_a_time() -> None:
    prices = [100.0] * 2 + [99.0] * 2 + [98.0] * 8
    candles = bars(*[(price, price, price, price) for price in prices])
    targets = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, NAN, NAN, NAN]
    result = run(candles, plan(*targets), rules(losing_streak=2, cool_down=timedelta(hours=3), costs=DEAR))
    # out for the second time at candle 4; candle 7 is three hours later
    assert result.fill_records["candle"].tolist() == [1, 2, 3, 4, 7]
    assert result.totals.refused["cool_down"] == 2


def test_a_cool_down_shorter_than_a_candle_refuses_so_many_decisions_all_the_same() -> None:
    prices = [100.0] * 2 + [99.0] * 2 + [98.0] * 8
    candles = bars(*[(price, price, price, price) for price in prices])
    targets = [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, NAN, NAN, NAN]
    half_hour = rules(losing_streak=2, cool_down=timedelta(minutes=30), cool_down_candles=3, costs=DEAR)
    result = run(candles, plan(*targets), half_hour)
    # out for the second time at the open of candle 4: the decisions at the closes of candles 4, 5 and 6 are refused
    assert result.fill_records["candle"].tolist() == [1, 2, 3, 4, 8]
    assert result.totals.refused["cool_down"] == 3


def test_a_short_without_margin_sells_inventory_for_nothing() -> None:
    result = run(bars((100, 100, 100, 100), (100, 100, 90, 90)), plan(-1, NAN), rules(shorts=True))
    assert (result.equity[-1], result.totals.margin_costs) == (pytest.approx(1.1), 0.0)
    refused = run(steady(3), plan(-1, NAN, NAN), rules())
    assert refused.totals.refused["shorts"] == 1


def test_exposure_beyond_the_accounts_own_money_needs_margin() -> None:
    assert run(steady(3), plan(2, NAN, NAN), rules(leverage=3.0)).totals.refused["leverage"] == 1
    assert run(steady(3), plan(2, NAN, NAN), rules(leverage=3.0, margin=LENT)).totals.fills == 1
    assert (
        run(steady(3), plan(3.1, NAN, NAN), rules(leverage=3.0, margin=LENT)).totals.refused["leverage"] == 1
    )


def test_borrowing_pays_its_opening_fee_and_each_rollover_that_has_come() -> None:
    result = run(steady(11), plan(2, *[NAN] * 10), rules(leverage=2.0, margin=LENT), 1000.0)
    value = 1000.0 * 2 / (1 + 2 * 0.0002)  # twice the equity that is left after the opening fee
    assert result.equity[1] == pytest.approx(1000.0 - value * 0.0002)
    # Entered at 1:00, rolled at 5:00 and 9:00.
    assert result.totals.margin_costs == pytest.approx(value * 0.0002 * 3)


def test_the_venue_liquidates_at_its_margin_level() -> None:
    margin = replace(LENT, opening_fee=0.0, rollover_fee=0.0)
    candles = bars((100, 100, 100, 100), (100, 100, 60, 60))
    result = run(candles, plan(2, NAN), rules(leverage=2.0, margin=margin), 100.0)
    # 2 coins, owing 100; used margin 100, 40 of equity are left at a price of 70
    assert (reasons(result), result.fills["price"][1]) == (["liquidation"], pytest.approx(70.0))
    assert result.equity[-1] == pytest.approx(40.0)


def test_a_stop_nearer_than_liquidation_comes_first() -> None:
    candles = bars((100, 100, 100, 100), (100, 100, 60, 60))
    result = run(candles, plan(2, NAN, stop=0.1), rules(leverage=2.0, margin=LENT))
    assert (reasons(result), result.fills["price"][1]) == (["stop"], 90.0)


def test_what_is_left_at_the_end_is_marked_and_not_sold() -> None:
    result = run(bars((100, 100, 100, 100), (100, 110, 100, 110)), plan(1, NAN), rules(costs=DEAR))
    trade = result.trades.row(0, named=True)
    assert (trade["reason"], trade["exit_price"], trade["exit_fee"]) == ("end", 110.0, 0.0)
    assert result.totals.fills == 1


def test_a_day_is_a_utc_day() -> None:
    candles = steady(50)
    assert candles.open_time[0] % DAY == 0
    assert run(candles, Plan(np.full(50, NAN)), rules()).daily_equity.tolist() == [1.0] * 3


def test_tiny_and_huge_prices_give_the_same_shape() -> None:
    shape = bars((1, 1, 1, 1), (1, 1.2, 0.9, 1.1), (1.1, 1.3, 1.0, 1.2), (1.2, 1.2, 0.8, 0.9))
    wanted = plan(1, NAN, NAN, NAN, stop=0.3, trailing=0.2)
    for scale in (2.0**-26, 2.0**40):  # exact scaling: XRP/BTC costs 2e-8
        scaled = Bars(
            shape.open_time, *(getattr(shape, name) * scale for name in ("open", "high", "low", "close"))
        )
        assert (run(scaled, wanted, rules()).equity == run(shape, wanted, rules()).equity).all()


def test_one_candle_decides_and_never_trades() -> None:
    result = run(steady(1), plan(1), rules())
    assert (result.equity.tolist(), result.totals.fills, result.trades.height) == ([1.0], 0, 0)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("touched", [50.0, 150.0])
@pytest.mark.parametrize("at", range(1, 20))
def test_a_level_that_is_met_exactly_ends_the_trade_at_any_place_among_its_candles(
    at: int, touched: float, side: float
) -> None:
    candles = [(100.0, 100.0, 100.0, 100.0)] * 20
    candles[at] = (100.0, max(touched, 100.0), min(touched, 100.0), 100.0)
    wanted = plan(side, *[NAN] * 19, stop=0.5, take_profit=0.5)
    result = run(bars(*candles), wanted, rules(shorts=True))
    assert result.trades["exit_price"].to_list() == [touched]
    assert result.fill_records["candle"].tolist() == [1, at]


def test_decisions_in_runs_and_as_an_array_are_the_same_plan() -> None:
    for seed in SOME:
        case = random_case(seed)
        case = replace(case, plan=replace(case.plan, leaves=None))
        assert isinstance(case.plan.target, np.ndarray)
        runs = Decisions.of(case.plan.target)
        assert np.array_equal(runs.dense(), case.plan.target, equal_nan=True)
        assert everything(follow(replace(case, plan=replace(case.plan, target=runs)))) == everything(
            follow(case)
        )


@pytest.mark.parametrize("equity", [0.0, -1.0, NAN, np.inf])
def test_an_account_opens_with_money(equity: float) -> None:
    with pytest.raises(InvalidValue, match="opening_equity"):
        run(steady(2), plan(1, 1), rules(), equity)


def test_a_plan_for_other_candles_is_refused() -> None:
    with pytest.raises(InvalidValue, match="for 2 candles, there are 3"):
        run(steady(3), plan(1, 1), rules())


def test_the_start_of_these_markets_is_no_midnight() -> None:
    assert START % DAY  # the random cases cross days at any hour


def votes(*rows: tuple[float, int], **protection: float) -> Plan:
    """(what is entered while flat, which side is left) after each candle."""
    target, leaves = zip(*rows, strict=True)
    return Plan(np.array(target, np.float64), leaves=np.array(leaves), **protection)


def test_while_a_position_is_held_only_a_vote_to_leave_its_side_changes_anything() -> None:
    plan = votes((0.2, 0), (0.4, LEAVE_SHORT), (-0.1, 0), (NAN, LEAVE_LONG), (0.0, 3), (NAN, 0))
    result = run(steady(6), plan, rules(shorts=True))
    assert result.fill_records["candle"].tolist() == [1, 4]
    assert result.fills["side"].to_list() == ["buy", "sell"]


def test_a_turn_takes_two_votes() -> None:
    plan = votes((1.0, 0), (-1.0, LEAVE_LONG), (-1.0, LEAVE_LONG), (1.0, LEAVE_SHORT), (1.0, 0), (NAN, 0))
    result = run(steady(6), plan, rules(shorts=True))
    assert result.fill_records["candle"].tolist() == [1, 2, 3, 4, 5]
    assert np.sign(result.fill_records["held"]).tolist() == [1, 0, -1, 0, 1]


def test_the_next_vote_opens_again_after_a_stop_and_only_a_vote_does() -> None:
    falling = bars(*[(100.0, 100.0, 94.0, 100.0)] * 6)  # every candle touches a stop of 5 %
    standing, once = [(1.0, 0)] * 6, [(1.0, 0)] + [(NAN, 0)] * 5
    assert reasons(run(falling, votes(*standing, stop=0.05), rules())) == ["stop"] * 5
    assert reasons(run(falling, votes(*once, stop=0.05), rules())) == ["stop"]
    assert reasons(run(falling, Plan(np.ones(6), stop=0.05), rules())) == ["stop"]


def test_a_vote_that_is_refused_is_counted_and_lost_and_the_next_is_asked_anew() -> None:
    result = run(steady(4), votes((-1.0, 0), (-0.5, 0), (0.5, 0), (NAN, 0)), rules())
    assert result.totals.refused["shorts"] == 2
    assert result.fill_records["candle"].tolist() == [3]


@pytest.mark.parametrize("leaves", [np.array([0, 4]), np.array([-1, 0]), np.array([0])])
def test_impossible_sides_to_leave_are_refused(leaves: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidValue, match="leaves"):
        Plan(np.ones(2), leaves=leaves)
