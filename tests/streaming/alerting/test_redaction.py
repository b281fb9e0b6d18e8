"""No secret is shown: neither that of an address, wherever it stands in it, nor that of the environment."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.alerting.redaction import redact, secrets_of_environment, secrets_of_urls

secret = st.text(
    st.characters(codec="ascii", min_codepoint=33, exclude_characters="*"), min_size=8, max_size=40
)
PLACES = [
    "tgram://{}/-1002",
    "slack://{}/abc/def/#general",
    "json://host.example.org/hooks/{}",
    "json://host.example.org/?+Authorization={}",
    "mailto://user:{}@example.org",
    "mailto://{}:word@example.org",
]


@given(secret, st.sampled_from(PLACES), st.text(max_size=30), st.text(max_size=30))
def test_a_secret_of_an_address_never_comes_through_as_written_or_decoded(
    value: str, place: str, before: str, after: str
) -> None:
    url = place.format(quote(value, safe=""))
    secrets = secrets_of_urls([url])
    for shown in (value, quote(value, safe=""), url):
        assert shown not in redact(f"{before} {shown} {after}", secrets)


@pytest.mark.parametrize("password", ["abc", "p:q@r/s", "pass@word"])
def test_a_password_that_is_short_or_not_encoded(password: str) -> None:
    secrets = secrets_of_urls([f"mailto://somebody:{password}@example.org"])
    assert password not in redact(f"login of somebody with {password} was refused", secrets)


def test_secrets_of_the_environment_are_known_by_the_names_of_the_variables() -> None:
    known = {"KRAKEN_API_SECRET": "kQH5HW/8p1uGOVjb", "PGPASSWORD": "correct horse", "HOME": "/home/somebody"}
    text = "kQH5HW/8p1uGOVjb, correct horse, /home/somebody"
    assert redact(text, secrets_of_environment(known)) == "***, ***, /home/somebody"


def test_logins_in_any_address_and_named_passwords_are_hidden() -> None:
    text = "cannot reach postgresql://loom:hunter2@db/loom: password=hunter2 host=db"
    assert redact(text, ()) == "cannot reach postgresql://***@db/loom: password=*** host=db"


def test_a_text_without_secrets_stays_as_it_is() -> None:
    text = "account main bought 0.5 BTC at 60000 USDT (entry, fee 1.2 USDT)"
    assert redact(text, secrets_of_urls(["tgram://123456789:abcdef/-100"])) == text
