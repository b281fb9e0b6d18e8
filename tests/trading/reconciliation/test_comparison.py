"""The comparison of ledger and books: what explains itself is booked, anything else is a difference."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side, WorkingOrder
from trading.portfolio import cash_flows
from trading.ports import BookEntry, VenueBooks, VenueOrder
from trading.reconciliation import DifferenceKind, LedgerView, compare
from trading.reconciliation.comparison import EXPLAINED, adopt

NOW = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
BTC = Pair("BTC", "USDT")
FILL = Fill(
    fill_id="T1",
    intent_id="intent",
    account="a",
    pair=BTC,
    side=Side.BUY,
    price=Decimal("60000.1"),
    quantity=Decimal("0.01"),
    fee=Decimal("2.4"),
    fee_asset="USDT",
    filled_at=NOW,
)
INTENT = OrderIntent(
    intent_id="intent",
    decision_id="decision",
    account="a",
    pair=BTC,
    side=Side.BUY,
    quantity=Decimal("0.01"),
    reduces=False,
    stop_loss=None,
    take_profit=None,
    created_at=NOW,
)
LEDGER = LedgerView(
    account="a",
    opened_at=NOW - dt.timedelta(hours=1),
    balances={"USDT": Decimal("397.599"), "BTC": Decimal("0.01")},
    fills={"T1": FILL},
    references=frozenset(),
    working=(),
    order_ids=frozenset({"O1"}),
)


def trade(reference: str, asset: str, amount: str, fill_id: str = "T1", order_id: str = "O1") -> BookEntry:
    return BookEntry(reference, asset, Decimal(amount), "trade", NOW, fill_id, order_id)


BOOKS = VenueBooks(
    balances=LEDGER.balances,
    open_orders=(),
    entries=(trade("L1", "USDT", "-602.401"), trade("L2", "BTC", "0.01")),
    at=NOW,
)


def test_books_that_say_the_same_need_nothing() -> None:
    result = compare(LEDGER, BOOKS)
    assert (result.adjustments, result.unbooked_orders, result.differences) == ((), (), ())


def test_a_deposit_is_booked_with_its_cause_and_explains_the_balance() -> None:
    deposit = BookEntry("L3", "USDT", Decimal(100), "deposit", NOW)
    books = replace(
        BOOKS,
        entries=(*BOOKS.entries, deposit),
        balances={**BOOKS.balances, "USDT": Decimal("497.599")},
    )
    result = compare(LEDGER, books)
    assert [(each.reference, each.amount, each.cause) for each in result.adjustments] == [
        ("L3", Decimal(100), "deposit")
    ]
    assert result.differences == ()


def test_a_deposit_that_is_booked_already_is_not_booked_again() -> None:
    deposit = BookEntry("L3", "USDT", Decimal(100), "deposit", NOW)
    books = replace(BOOKS, entries=(*BOOKS.entries, deposit))
    assert compare(replace(LEDGER, references=frozenset({"L3"})), books).adjustments == ()


def test_what_is_in_the_opening_balances_is_not_booked_once_more() -> None:
    before = (
        BookEntry("L8", "USDT", Decimal(1000), "deposit", LEDGER.opened_at),
        BookEntry("L9", "EUR", Decimal(5), "settled", LEDGER.opened_at - dt.timedelta(minutes=5)),
        replace(trade("L5", "USDT", "-60", "T9", "OTHER"), at=LEDGER.opened_at),
    )
    result = compare(LEDGER, replace(BOOKS, entries=(*before, *BOOKS.entries)))
    assert (result.adjustments, result.differences) == ((), ())


def test_a_fill_of_ours_at_the_moment_of_the_opening_is_none_of_the_opening() -> None:
    late = replace(trade("L5", "USDT", "-60", "T2"), at=LEDGER.opened_at)
    assert compare(LEDGER, replace(BOOKS, entries=(late,))).unbooked_orders == ("O1",)


def test_rewards_of_a_staked_asset_are_booked_under_its_own_name() -> None:
    reward = BookEntry("L4", "BTC.F", Decimal("0.0001"), "staking", NOW)
    books = replace(
        BOOKS,
        entries=(*BOOKS.entries, reward),
        balances={**BOOKS.balances, "BTC.F": Decimal("0.0001")},
    )
    result = compare(LEDGER, books)
    assert [each.asset for each in result.adjustments] == ["BTC.F"]
    assert result.differences == ()


def test_a_fill_of_ours_that_is_not_booked_is_asked_for_before_balances_are_judged() -> None:
    late = (trade("L5", "USDT", "-60", "T2"), trade("L6", "BTC", "0.001", "T2"))
    books = replace(BOOKS, entries=(*BOOKS.entries, *late), balances={"USDT": Decimal(1)})
    result = compare(LEDGER, books)
    assert result.unbooked_orders == ("O1",)
    assert result.differences == ()


def test_a_trade_of_an_order_that_nobody_here_placed_is_foreign_and_named_once() -> None:
    foreign = (trade("L5", "USDT", "-60", "T9", "OTHER"), trade("L6", "BTC", "0.001", "T9", "OTHER"))
    books = replace(
        BOOKS,
        entries=(*BOOKS.entries, *foreign),
        balances={"USDT": Decimal("337.599"), "BTC": Decimal("0.011")},
    )
    kinds = {(each.kind, each.subject) for each in compare(LEDGER, books).differences}
    assert kinds == {(DifferenceKind.FOREIGN_TRADE, "T9")}


def test_an_open_order_of_somebody_else_is_foreign_and_ours_is_not() -> None:
    working = WorkingOrder(INTENT, Order("intent", OrderStatus.ACKNOWLEDGED, "", NOW, venue_order_id="O1"))
    mine = VenueOrder("O1", "", BTC, Side.BUY, Decimal(1), Decimal(0), None, NOW)
    by_name = replace(mine, venue_order_id="O2", client_order_id=INTENT.client_order_id)
    stop = replace(mine, venue_order_id="O3", side=Side.SELL, parent_id="O1", trigger=Decimal(59000))
    other = replace(mine, venue_order_id="O4")
    books = replace(BOOKS, open_orders=(mine, by_name, stop, other))
    result = compare(replace(LEDGER, working=(working,)), books)
    assert [(each.kind, each.subject) for each in result.differences] == [
        (DifferenceKind.FOREIGN_ORDER, "O4")
    ]


def test_a_balance_that_no_entry_explains_is_a_difference() -> None:
    books = replace(BOOKS, balances={**BOOKS.balances, "USDT": Decimal("397.5")})
    (difference,) = compare(LEDGER, books).differences
    assert (difference.kind, difference.subject) == (DifferenceKind.BALANCE, "USDT")
    assert difference.note == "the venue has 397.5 USDT, the ledger 397.599"


def test_an_asset_that_only_the_venue_or_only_the_ledger_has_is_a_difference() -> None:
    only_theirs = replace(BOOKS, balances={**BOOKS.balances, "XRP": Decimal(1)})
    only_ours = replace(BOOKS, balances={"USDT": BOOKS.balances["USDT"]})
    assert [each.subject for each in compare(LEDGER, only_theirs).differences] == ["XRP"]
    assert [each.subject for each in compare(LEDGER, only_ours).differences] == ["BTC"]


def test_an_entry_of_an_unknown_kind_is_not_taken_for_a_deposit() -> None:
    odd = BookEntry("L7", "USDT", Decimal(-5), "settled", NOW)
    books = replace(
        BOOKS, entries=(*BOOKS.entries, odd), balances={**BOOKS.balances, "USDT": Decimal("392.599")}
    )
    result = compare(LEDGER, books)
    assert result.adjustments == ()
    assert [each.kind for each in result.differences] == [DifferenceKind.UNKNOWN_ENTRY]


def test_the_digits_that_a_venue_rounds_away_are_booked_as_such() -> None:
    rounded = (trade("L1", "USDT", "-602.4009"), trade("L2", "BTC", "0.01"))
    books = replace(BOOKS, entries=rounded, balances={**BOOKS.balances, "USDT": Decimal("397.5991")})
    result = compare(LEDGER, books)
    assert [(each.amount, each.cause) for each in result.adjustments] == [
        (Decimal("0.0001"), "rounding of fill T1")
    ]
    assert result.differences == ()


def test_a_fill_that_the_venue_booked_otherwise_is_no_rounding() -> None:
    books = replace(
        BOOKS,
        entries=(trade("L1", "USDT", "-603.4"), trade("L2", "BTC", "0.01")),
        balances={**BOOKS.balances, "USDT": Decimal("396.6")},
    )
    result = compare(LEDGER, books)
    assert result.adjustments == ()
    assert [each.subject for each in result.differences] == ["USDT"]


amounts = st.decimals(Decimal("-100"), Decimal(100), places=8).filter(bool)
entries = st.lists(
    st.tuples(
        st.sampled_from(["USDT", "BTC", "EUR"]),
        amounts,
        st.sampled_from([*sorted(EXPLAINED), "trade", "settled"]),
    ),
    max_size=8,
)


@given(entries=entries, gap=st.dictionaries(st.sampled_from(["USDT", "BTC", "XRP"]), amounts, max_size=2))
def test_after_adopting_the_ledger_is_the_venues_to_the_last_digit(
    entries: list[tuple[str, Decimal, str]], gap: dict[str, Decimal]
) -> None:
    listed = tuple(
        BookEntry(f"E{number}", asset, amount, kind, NOW, f"F{number}", "OTHER")
        for number, (asset, amount, kind) in enumerate(entries)
    )
    balances = dict(LEDGER.balances)
    for asset, amount in [*((each.asset, each.amount) for each in listed), *gap.items()]:
        balances[asset] = balances.get(asset, Decimal(0)) + amount
    books = VenueBooks(balances, (), listed, NOW)
    booked = adopt(LEDGER, books, "a person says so", NOW)
    after = dict(LEDGER.balances)
    for each in booked:
        after[each.asset] = after.get(each.asset, Decimal(0)) + each.amount
    assert {asset: amount for asset, amount in after.items() if amount} == {
        asset: amount for asset, amount in balances.items() if amount
    }
    seen = replace(LEDGER, balances=after, references=frozenset(each.reference for each in booked))
    assert compare(seen, books).differences == ()


def test_the_cash_flows_of_the_example_are_those_of_its_fill() -> None:
    assert cash_flows(FILL) == {"USDT": Decimal("-602.401"), "BTC": Decimal("0.01")}
