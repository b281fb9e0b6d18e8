"""Money that is paid in or taken out is neither a gain nor a loss: no false halt after it, and none hidden by it."""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from assets.trading_checks import _snapshot_faults
from ml.decision.account_reader import still_books
from ml.decision.standing import begin_due_halts
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld
from tests.ml.decision.trading_day import LIMITS, PAIR
from trading.account import equity_change
from trading.errors import VenueUnreachable
from trading.ports import Adjustment, BookEntry, VenueBooks
from trading.risk import HaltKind

HOUR = timedelta(hours=1)


class Account:
    """The account of a decision world over the hours of one day."""

    def __init__(self, folder: Path) -> None:
        self.world = DecisionWorld(folder)
        self.reader, self.journal = self.world.reader.account, self.world.journal
        newest = self.world.newest
        self.begin = newest.replace(hour=0) if newest.hour > 12 else newest.replace(hour=0) - 24 * HOUR
        self.reader.ensure_open(self.begin - 5 * HOUR)

    def at(self, hours: int) -> datetime:
        return self.begin + hours * HOUR

    def look(self, hours: int) -> None:
        """Value and halt, as every decision does first, and store the snapshot as it does last."""
        begin_due_halts(self.reader, self.reader.valuation(self.at(hours)), LIMITS, self.journal)
        self.journal.save_snapshot(ACCOUNT.name, self.at(hours), self.reader.results(self.at(hours))[0])

    def pay(self, hours: int, asset: str, amount: str, name: str = "") -> None:
        """The reconciler books it, with its value then."""
        exact = Decimal(amount)
        value = self.reader.worth(asset, exact, self.at(hours))
        booked = Adjustment(
            ACCOUNT.name, name or f"{asset}{hours}", asset, exact, "deposit", self.at(hours), value
        )
        assert self.journal.record_adjustment(booked)

    def halts(self) -> list[HaltKind]:
        return [each.kind for each in self.journal.halts(ACCOUNT.name)]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def adds_up(account: Account) -> None:
    for row in account.journal.snapshots_since(ACCOUNT.name, account.begin - 24 * HOUR):
        assert _snapshot_faults(row) == []


def test_a_withdrawal_is_no_drawdown_and_no_daily_loss(account: Account) -> None:
    account.look(1)
    account.pay(2, "USDT", "-900")
    account.look(3)
    assert account.halts() == []
    adds_up(account)
    first, last = account.journal.snapshots_since(ACCOUNT.name, account.begin)
    change = equity_change(first, last)
    assert change is not None
    assert (change.transfers, change.unexplained) == (Decimal(-900), 0)
    assert float(last["drawdown"]) < 0.02


def test_a_withdrawal_that_is_noticed_late_is_no_loss_either(account: Account) -> None:
    account.look(1)
    account.look(3)
    account.pay(2, "USDT", "-900")  # booked after a snapshot that is younger than it
    account.look(4)
    assert account.halts() == []
    adds_up(account)


def test_a_withdrawal_of_coins_counts_at_the_price_of_its_moment(account: Account) -> None:
    account.look(1)
    account.pay(2, "BTC", "-0.01")
    price = account.reader.market.price(PAIR, account.at(2))
    account.look(3)
    assert account.halts() == []
    snapshot = account.journal.snapshots_since(ACCOUNT.name, account.at(3))[0]
    assert Decimal(snapshot["transfers"]) == Decimal("-0.01") * price
    adds_up(account)


@pytest.mark.parametrize("first", ["deposit", "loss"])
def test_a_deposit_hides_no_loss(account: Account, first: str) -> None:
    account.look(1)
    steps = [lambda: account.pay(2, "USDT", "5000"), lambda: lose(account, 2, "-300")]
    for step in steps if first == "deposit" else reversed(steps):
        step()
    account.look(3)
    assert account.halts() == [HaltKind.DAILY_LOSS]


def test_a_deposit_before_the_first_snapshot_is_no_profit(account: Account) -> None:
    account.pay(1, "USDT", "500")
    account.look(2)
    snapshot = account.journal.snapshots_since(ACCOUNT.name, account.at(2))[0]
    assert float(snapshot["opened_with"]) == pytest.approx(2100, abs=0.01)
    assert Decimal(snapshot["transfers"]) == 500
    adds_up(account)


def test_the_next_day_opens_with_what_was_left(account: Account) -> None:
    account.look(-2)
    account.pay(-1, "USDT", "-900")
    account.look(1)
    assert account.halts() == []
    adds_up(account)


def test_what_has_no_price_is_no_transfer(account: Account) -> None:
    account.look(1)
    account.pay(2, "BTC.F", "0.5")
    account.look(3)
    snapshot = account.journal.snapshots_since(ACCOUNT.name, account.at(3))[0]
    assert (Decimal(snapshot["transfers"]), snapshot["left_out"]) == (0, {"BTC.F": "0.5"})
    adds_up(account)


def lose(account: Account, hours: int, amount: str) -> None:
    """Money is gone that was not taken out: a bad trade of the account's own, put shortly."""
    lost = Adjustment(
        ACCOUNT.name, "lost", "USDT", Decimal(amount), "rounding of fill 1", account.at(hours), None
    )
    assert account.journal.record_adjustment(lost)


# --- opening at a venue


def entry(name: str, at: datetime) -> BookEntry:
    return BookEntry(name, "USDT", Decimal(100), "deposit", at)


def test_an_account_opens_with_balances_that_hold_exactly_the_entries_until_then(account: Account) -> None:
    """A deposit arrives between the reading of the balances and that of the entries."""
    now = account.at(2)
    old, new = entry("L1", now - HOUR), entry("L2", now + timedelta(seconds=1))
    reads = iter(
        [
            VenueBooks({"USDT": Decimal(100)}, (), (old,), now),
            VenueBooks({"USDT": Decimal(100)}, (), (old, new), now),
            VenueBooks({"USDT": Decimal(200)}, (), (old, new), now),
        ]
    )
    assert still_books(lambda since: next(reads), now - HOUR).balances == {"USDT": Decimal(200)}


def test_an_account_whose_balances_never_stand_still_is_not_opened(account: Account) -> None:
    now, names = account.at(2), iter(range(100))
    with pytest.raises(VenueUnreachable, match="whatever else trades with its key"):
        still_books(lambda since: VenueBooks({}, (), (entry(str(next(names)), now),), now), now)
