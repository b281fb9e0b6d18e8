import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import (
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.venues.kraken.errors import UnknownOrder, error_from

KINDS = {  # what a read raises, and what a change raises
    (RateLimited, RateLimited): [
        "EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EGeneral:Too many requests",
        "EService:Throttled: 1700000000", "EGeneral:Temporary lockout",
    ],
    (VenueUnreachable, VenueUnreachable): [
        "EAPI:Invalid nonce", "EService:Market in cancel_only mode", "EService:Market in post_only mode",
        "EGeneral:Invalid arguments:deadline",
    ],
    (VenueUnreachable, OutcomeUnknown): [
        "EService:Unavailable", "EService:Busy", "EService:Timeout", "EService:Deadline elapsed",
        "EGeneral:Internal error:17", "EDatabase:Internal error",
    ],
    (NotAuthorised, NotAuthorised): [
        "EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission denied",
        "ESession:Invalid session",
    ],
    (VenueRefused, VenueRefused): [
        "EOrder:Insufficient funds", "EOrder:Order minimum not met", "EQuery:Unknown asset pair",
        "EGeneral:Invalid arguments:volume", "EGeneral:Unknown method", "EOrder:Tick size check failed",
        "EOrder:Unknown order", "EOrder:Insufficient initial margin", "EOrder:Scheduled orders limit exceeded",
        "EOrder:Account is not authorized",
    ],
    (VenueRefused, OutcomeUnknown): [
        "EService:Connection lost", "EGeneral:Unknown error", "EQuery:Timeout",
        "EOrder:Client order id not unique", "EGeneral:Invalid arguments:cl_ord_id not unique",
        "ESomething:Nobody has seen before",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "read", "change"), [(words, *kinds) for kinds, listed in KINDS.items() for words in listed]
)
def test_each_error_string_becomes_an_error_that_tells_whether_to_retry(
    words: str, read: type[MarketloomError], change: type[MarketloomError]
) -> None:
    for changes, wanted in ((False, read), (True, change)):
        error = error_from("AddOrder", [words], changes)
        assert isinstance(error, wanted)
        assert words in str(error)
        assert "AddOrder" in str(error)


def test_a_quantity_that_kraken_calls_an_invalid_argument_is_explained() -> None:
    error = error_from("AddOrder", ["EGeneral:Invalid arguments:volume"], changes=True)
    assert "below the pair's minimum" in str(error)


def test_the_least_certain_of_several_strings_decides() -> None:
    error = error_from("AddOrder", ["EOrder:Insufficient funds", "EService:Busy"], changes=True)
    assert isinstance(error, OutcomeUnknown)
    assert "EOrder:Insufficient funds; EService:Busy" in str(error)


def test_an_unknown_error_string_beside_a_refusal_leaves_the_outcome_of_a_change_unknown() -> None:
    for no in ("EOrder:Insufficient funds", "EAPI:Rate limit exceeded", "EAPI:Invalid key"):
        assert isinstance(error_from("AddOrder", [no, "ENew:Words"], changes=True), OutcomeUnknown)


@given(st.lists(st.text(), min_size=1), st.booleans())
def test_any_error_string_becomes_a_typed_error(words: list[str], changes: bool) -> None:
    error = error_from("AddOrder", words, changes)
    assert isinstance(error, MarketloomError)
    assert len(str(error)) < 1000


def test_that_no_such_order_is_in_force_is_an_error_of_its_own() -> None:
    assert isinstance(error_from("CancelOrder", ["EOrder:Unknown order"], True), UnknownOrder)
    assert not isinstance(
        error_from("CancelOrder", ["EOrder:Unknown order", "EService:Busy"], True), UnknownOrder
    )
    assert not isinstance(error_from("CancelOrder", ["EOrder:Unknown position"], True), UnknownOrder)
