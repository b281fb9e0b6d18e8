"""The paper venue's books and the ledger: the reconciler finds nothing while all is well, and what a test breaks."""

from dataclasses import replace
from decimal import Decimal

from tests.contracts.paper_account import ACCOUNT, COIN, FUNDS, LISTED, QUIET, PaperAccount, Row, hour
from trading.fills import Costs
from trading.orders import Fill, OrderIntent, OrderStatus, Side
from trading.ports import Adjustment
from trading.reconciliation import Reconciler, Reconciliation
from trading.risk import HaltKind

COSTS = Costs(taker_fee=0.004, half_spread=0.0001, slippage=0.0002)
TOUCHED: list[Row] = [QUIET, (100, 101, 97, 99), (99, 99, 99, 99)]


def traded(rows: list[Row] | None = None) -> tuple[PaperAccount, OrderIntent]:
    """A position with its stop in the ledger, after a round trip of a short."""
    account = PaperAccount(rows or [QUIET] * 4, instrument=LISTED, costs=COSTS)
    account.buy(side=Side.SELL)
    account.buy(reduces=True)
    account.clock = hour(1)
    (stop,) = account.adopt(account.buy(stop_loss=Decimal(98)))
    return account, stop


def reconciled(account: PaperAccount) -> Reconciliation:
    return Reconciler(account.journal, account.venue(), sleep=lambda seconds: None).reconcile(
        ACCOUNT, account.clock
    )


def is_halted(account: PaperAccount) -> bool:
    return [each.kind for each in account.journal.halts(ACCOUNT)] == [HaltKind.RECONCILIATION]


def test_books_and_ledger_agree() -> None:
    account, stop = traded()
    deposit = Adjustment(ACCOUNT, "D-1", "USDT", Decimal(50), "deposit", hour(1))
    account.journal.record_adjustment(deposit)
    books = account.venue().books(hour(0))
    assert books.balances == account.journal.balances(ACCOUNT)
    assert [each.venue_order_id for each in books.open_orders] == [account.working(stop).order.venue_order_id]
    assert {each.kind for each in books.entries} == {"trade", "deposit"}
    result = reconciled(account)
    assert (result.agrees, result.booked) == (True, ())
    assert account.journal.reconciled_at(ACCOUNT) == hour(1)


def test_an_account_that_has_not_traded_agrees() -> None:
    account = PaperAccount([QUIET])
    assert account.venue().books(hour(0)).balances == FUNDS
    assert reconciled(account).agrees


def test_a_stop_that_was_filled_and_not_booked_is_booked() -> None:
    account, stop = traded(TOUCHED)
    account.clock = hour(2)
    assert reconciled(account).agrees
    assert account.working(stop).order.status is OrderStatus.FILLED
    assert account.journal.positions(ACCOUNT) == []
    assert account.journal.halts(ACCOUNT) == []


def test_a_stop_that_the_ledger_does_not_know_yet_is_no_foreign_order() -> None:
    account = PaperAccount([QUIET] * 3)
    entry = account.buy(stop_loss=Decimal(98))
    (resting,) = account.venue().books(hour(0)).open_orders
    assert (resting.parent_id, resting.client_order_id) == (account.working(entry).order.venue_order_id, "")
    assert reconciled(account).agrees


def test_a_fill_that_the_paper_venue_never_made_halts_the_account() -> None:
    account, _ = traded()
    entry = account.working(account.buy())
    made_up = Fill("invented", entry.intent.intent_id, ACCOUNT, COIN, Side.BUY, Decimal(90), Decimal("0.5"),
                   Decimal(0), "USDT", hour(1))  # fmt: skip
    account.journal.record_order(replace(entry.order, status=OrderStatus.FILLED), [made_up])
    differences = reconciled(account).differences
    assert {each.subject for each in differences} == {"BTC", "USDT"}
    assert HaltKind.RECONCILIATION in [each.kind for each in account.journal.halts(ACCOUNT)]


def test_a_balance_that_no_entry_explains_halts_the_account() -> None:
    account, _ = traded()
    state = account.journal._state  # type: ignore[attr-defined]
    state.ledger[ACCOUNT] += ((hour(1), "USDT", Decimal(7)),)
    (difference,) = reconciled(account).differences
    assert difference.subject == "USDT"
    assert is_halted(account)


def test_a_fill_whose_money_was_not_entered_halts_the_account() -> None:
    account, _ = traded()
    state = account.journal._state  # type: ignore[attr-defined]
    state.ledger[ACCOUNT] = state.ledger[ACCOUNT][:-1]
    assert len(reconciled(account).differences) == 1
    assert is_halted(account)
