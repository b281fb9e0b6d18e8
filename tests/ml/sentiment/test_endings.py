"""What ends, fades or is denied: good news made of bad words, and the other way round."""

import pytest

from ml.sentiment.endings import DENIAL, RELIEF, SETBACK, mark_endings
from ml.sentiment.lexicon import LexiconSentiment

LEXICON = LexiconSentiment()


def score(text: str) -> float:
    return LEXICON.score([text])[0].score


@pytest.mark.parametrize(
    "headline",
    [
        "SEC drops its appeal against Ripple",
        "Judge dismisses lawsuit against XRP issuer",
        "Regulator ends probe of exchange without charges",
        "Hackers return all stolen funds to the bridge",
        "Outflows from bitcoin funds slow to a six-week low",
        "Losses at miner narrow to 4 million",
        "CFTC withdraws its complaint against Kraken",
        "Court throws out class action against Coinbase",
        "Court rejects SEC's appeal in Ripple case",
        "Charges against founder dropped",
        "Euler recovers all stolen assets",
        "Selling pressure on bitcoin fades",
        "Bank drops plan to ban bitcoin payments",
    ],
)
def test_the_end_of_something_bad_is_good(headline: str) -> None:
    assert score(headline) > 0


@pytest.mark.parametrize(
    "headline",
    [
        "Exchange denies rumours of insolvency",
        "No signs of capitulation among bitcoin holders",
        "Binance dismisses rumours of bankruptcy",
        "No evidence of a hack, exchange says",
    ],
)
def test_what_is_denied_is_not_bad(headline: str) -> None:
    assert score(headline) >= 0


@pytest.mark.parametrize(
    "headline",
    [
        "Judge refuses to dismiss SEC lawsuit against Ripple",
        "Ripple loses bid to dismiss SEC lawsuit",
        "Exchange fails to avert bankruptcy",
        "Court rejects Grayscale's appeal",
        "SEC appeals Ripple ruling",
        "Inflows to bitcoin funds slow to a trickle",
        "No sign of recovery for XRP",
        "Bank ends support for crypto purchases",
        "Outflows from bitcoin funds accelerate",
        "Bitcoin drops on ban fears",
        "Bitcoin ends week with heavy losses",
        "XRP falls as SEC appeals ruling",
        "Hackers steal funds from the bridge",
    ],
)
def test_the_end_of_something_good_and_a_refused_relief_are_bad(headline: str) -> None:
    assert score(headline) < 0


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("Nigeria lifts restrictions on accounts", RELIEF),
        ("CEO denies allegations of fraud", DENIAL),
        ("The rally fades", SETBACK),
    ],
)
def test_an_ending_is_named_as_what_it_is(text: str, mark: str) -> None:
    assert mark in mark_endings(text)


@pytest.mark.parametrize(
    "text",
    [
        "Bitcoin drops on lawsuit news",
        "A one-stop trading solution",
        "Limit orders and stop losses explained",
        "Bitcoin falls after the probe",
        "",
    ],
)
def test_a_verb_without_such_an_object_ends_nothing(text: str) -> None:
    assert mark_endings(text) == text
