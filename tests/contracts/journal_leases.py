"""What every journal promises of leases and of the transaction that holds an account."""

from decimal import Decimal

import pytest

from tests.contracts.trade import HOUR, NOON, OPENING, decided, leased, opened, receipt, sent
from tests.doubles.threads import at_once
from trading.errors import InvalidValue, LeaseLost, NotStored
from trading.orders import OrderStatus
from trading.ports import Journal, Lease

MOMENT = 0.001  # seconds: over as soon as anybody asks again


class LeaseContract:
    def test_one_holder_has_the_lease_of_an_account(self, journal: Journal) -> None:
        opened(journal).open_account("other", {}, NOON)
        lease = leased(journal)
        assert (lease.account, lease.holder) == ("paper", "me")
        assert journal.acquire_lease("paper", "you", 60) is None
        assert journal.acquire_lease("other", "you", 60) is not None
        with pytest.raises(NotStored):
            journal.acquire_lease("nobody's", "me", 60)

    def test_a_lease_that_was_given_back_is_free(self, journal: Journal) -> None:
        first = leased(opened(journal))
        journal.release_lease(first)
        second = leased(journal, "you")
        assert second.fence > first.fence
        journal.release_lease(first)
        assert journal.acquire_lease("paper", "me", 60) is None

    def test_a_lease_that_ended_is_free(self, journal: Journal) -> None:
        opened(journal)
        first = journal.acquire_lease("paper", "me", MOMENT)
        second = None
        while second is None:
            second = journal.acquire_lease("paper", "you", 60)
        assert first is not None
        assert second.fence > first.fence
        assert not journal.renew_lease(first, 60)

    def test_the_same_holder_gets_a_new_number(self, journal: Journal) -> None:
        first, second = (leased(opened(journal)) for _ in range(2))
        assert second.fence > first.fence
        assert not journal.renew_lease(first, 60)
        assert journal.renew_lease(second, 60)

    def test_a_renewed_lease_is_held_for_longer(self, journal: Journal) -> None:
        opened(journal)
        lease = journal.acquire_lease("paper", "me", MOMENT)
        assert lease is not None
        assert journal.renew_lease(lease, 60)
        assert journal.acquire_lease("paper", "you", 60) is None

    def test_of_many_that_ask_at_once_one_gets_it(self, journal: Journal) -> None:
        opened(journal)
        got = at_once(lambda number: journal.acquire_lease("paper", f"holder-{number}", 60), range(8))
        assert sum(each is not None for each in got) == 1

    def test_an_older_number_sends_nothing(self, journal: Journal) -> None:
        wanted = decided(opened(journal))
        old = leased(journal)
        new = leased(journal)
        with pytest.raises(LeaseLost, match="not the newest"):
            sent(journal, wanted, old)
        order = journal.order(wanted.intent_id)
        assert order is not None
        assert order.status is OrderStatus.INTENDED
        assert sent(journal, wanted, new).status is OrderStatus.SENT

    def test_a_lease_that_was_given_back_or_is_of_another_account_sends_nothing(
        self, journal: Journal
    ) -> None:
        wanted = decided(opened(journal))
        journal.open_account("other", {}, NOON)
        other = journal.acquire_lease("other", "me", 60)
        assert other is not None
        released = leased(journal)
        journal.release_lease(released)
        for lease in (other, released, Lease("paper", "me", released.fence + 1)):
            with pytest.raises(LeaseLost):
                sent(journal, wanted, lease)

    @pytest.mark.parametrize(
        ("holder", "seconds"), [("", 60.0), ("me", 0.0), ("me", -1.0), ("me", float("nan"))]
    )
    def test_a_lease_that_nobody_could_hold_is_refused(
        self, journal: Journal, holder: str, seconds: float
    ) -> None:
        with pytest.raises(InvalidValue, match="a lease of"):
            opened(journal).acquire_lease("paper", holder, seconds)

    # --- exclusive

    def test_an_error_undoes_everything_of_an_exclusive_block(self, journal: Journal) -> None:
        opened(journal)

        def half_done() -> None:
            with journal.exclusive("paper"):
                decided(journal)
                journal.raise_peak("paper", Decimal(5))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half_done()
        assert journal.decisions("paper") == []
        assert journal.order("intent-of-decision-1") is None
        assert journal.peak("paper") is None
        assert journal.balances("paper") == OPENING

    def test_blocks_inside_one_another_are_one(self, journal: Journal) -> None:
        opened(journal)
        with journal.exclusive("paper"), journal.exclusive("paper"):
            decided(journal)
        assert len(journal.decisions("paper")) == 1

    def test_an_error_that_is_caught_inside_undoes_its_own_call_alone(self, journal: Journal) -> None:
        opened(journal)
        with journal.exclusive("paper"):
            decided(journal)
            with pytest.raises(NotStored):
                journal.record_decision(receipt("decision-2"), None, ["no such order"])
        assert [each["decision_id"] for each in journal.decisions("paper")] == ["decision-1"]

    def test_an_unknown_account_cannot_be_held(self, journal: Journal) -> None:
        with pytest.raises(NotStored, match="no account"), journal.exclusive("paper"):
            pass

    def test_threads_that_decide_see_what_the_one_before_decided(self, journal: Journal) -> None:
        opened(journal)

        def decide(number: int) -> None:
            with journal.exclusive("paper"):
                if len(journal.working_orders("paper")) < 2:
                    decided(journal, f"decision-{number}", created_at=NOON + HOUR)

        at_once(decide, range(8))
        assert len(journal.working_orders("paper")) == 2
