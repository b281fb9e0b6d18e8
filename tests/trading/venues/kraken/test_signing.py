import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import NotAuthorised
from trading.venues.kraken import Credentials
from trading.venues.kraken.authentication import signature

# The example of docs.kraken.com/exchange/guides/rest/authentication.
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
BODY = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
SIGNED = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="


def test_the_signature_is_the_one_that_kraken_publishes() -> None:
    assert signature("/0/private/AddOrder", 1616492376594, BODY, SECRET) == SIGNED


@pytest.mark.parametrize(
    ("path", "nonce", "body"),
    [
        ("/0/private/AddOrders", 1616492376594, BODY),
        ("/0/private/AddOrder", 1616492376595, BODY),
        ("/0/private/AddOrder", 1616492376594, BODY.replace("37500", "37501")),
    ],
)
def test_every_part_of_a_call_is_signed(path: str, nonce: int, body: str) -> None:
    assert signature(path, nonce, body, SECRET) != SIGNED


def test_credentials_never_show_themselves() -> None:
    shown = repr(Credentials("my-public-key", SECRET)) + str(Credentials("my-public-key", SECRET))
    assert "my-public-key" not in shown
    assert SECRET[:10] not in shown


def test_the_key_is_read_from_the_environment() -> None:
    found = Credentials.from_environment({"KRAKEN_API_KEY": " k ", "KRAKEN_API_SECRET": f"{SECRET}\n"})
    assert (found.key, found.secret) == ("k", SECRET)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "KRAKEN_API_KEY and KRAKEN_API_SECRET not set"),
        ({"KRAKEN_API_KEY": "k"}, "KRAKEN_API_SECRET not set"),
        ({"KRAKEN_API_KEY": "", "KRAKEN_API_SECRET": SECRET}, "KRAKEN_API_KEY not set"),
        ({"KRAKEN_API_KEY": "k", "KRAKEN_API_SECRET": "no base64!"}, "KRAKEN_API_SECRET is not the base64"),
        ({"KRAKEN_API_KEY": "kéy", "KRAKEN_API_SECRET": SECRET}, "KRAKEN_API_KEY is empty or holds"),
    ],
)
def test_a_missing_or_impossible_key_is_named_but_never_shown(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(NotAuthorised, match=named) as caught:
        Credentials.from_environment(environment)
    assert SECRET not in str(caught.value)


@given(st.text(), st.text(), st.binary(max_size=64))
def test_a_signature_is_always_64_bytes_of_base64(path: str, body: str, secret: bytes) -> None:
    signed = signature(path.encode("utf-8", "replace").decode(), 1, body.encode("utf-8", "replace").decode(),
                       base64.b64encode(secret).decode())  # fmt: skip
    assert len(base64.b64decode(signed)) == 64
