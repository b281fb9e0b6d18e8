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
from trading.venues.kraken.errors import error_from


@pytest.mark.parametrize(
    ("words", "read", "change"),
    [
        ("EAPI:Rate limit exceeded", RateLimited, RateLimited),
        ("EOrder:Rate limit exceeded", RateLimited, RateLimited),
        ("EGeneral:Too many requests", RateLimited, RateLimited),
        ("EService:Throttled: 1700000000", RateLimited, RateLimited),
        ("EGeneral:Temporary lockout", RateLimited, RateLimited),
        ("EAPI:Invalid nonce", VenueUnreachable, VenueUnreachable),
        ("EService:Unavailable", VenueUnreachable, OutcomeUnknown),
        ("EService:Busy", VenueUnreachable, OutcomeUnknown),
        ("EService:Timeout", VenueUnreachable, OutcomeUnknown),
        ("EService:Deadline elapsed", VenueUnreachable, OutcomeUnknown),
        ("EGeneral:Internal error:17", VenueUnreachable, OutcomeUnknown),
        ("EService:Market in cancel_only mode", VenueUnreachable, VenueUnreachable),
        ("EService:Market in post_only mode", VenueUnreachable, VenueUnreachable),
        ("EGeneral:Invalid arguments:deadline", VenueUnreachable, VenueUnreachable),
        ("EAPI:Invalid key", NotAuthorised, NotAuthorised),
        ("EAPI:Invalid signature", NotAuthorised, NotAuthorised),
        ("EGeneral:Permission denied", NotAuthorised, NotAuthorised),
        ("ESession:Invalid session", NotAuthorised, NotAuthorised),
        ("EOrder:Insufficient funds", VenueRefused, VenueRefused),
        ("EOrder:Order minimum not met", VenueRefused, VenueRefused),
        ("EQuery:Unknown asset pair", VenueRefused, VenueRefused),
        ("EGeneral:Invalid arguments:volume", VenueRefused, VenueRefused),
        ("EGeneral:Unknown method", VenueRefused, VenueRefused),
        ("EOrder:Tick size check failed", VenueRefused, VenueRefused),
        ("EOrder:Unknown order", VenueRefused, VenueRefused),
        ("EDatabase:Internal error", VenueUnreachable, OutcomeUnknown),
        ("EService:Connection lost", VenueRefused, OutcomeUnknown),
        ("EGeneral:Unknown error", VenueRefused, OutcomeUnknown),
        ("EQuery:Timeout", VenueRefused, OutcomeUnknown),
        ("EOrder:Client order id not unique", VenueRefused, OutcomeUnknown),
        ("EGeneral:Invalid arguments:cl_ord_id not unique", VenueRefused, OutcomeUnknown),
        ("ESomething:Nobody has seen before", VenueRefused, OutcomeUnknown),
    ],
)
def test_each_error_string_becomes_an_error_that_tells_whether_to_retry(
    words: str, read: type[MarketloomError], change: type[MarketloomError]
) -> None:
    for changes, wanted in ((False, read), (True, change)):
        error = error_from("AddOrder", [words], changes)
        assert type(error) is wanted
        assert words in str(error)
        assert "AddOrder" in str(error)


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
