"""Keys open accounts, nonces only rise, tokens end."""

import base64
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.keys import ApiKey, Keys, Permission, signature
from streaming.sandbox.model import Refused
from tests.doubles.clock import Clock
from trading.errors import InvalidValue, UnreadableFile

PATH = "/0/private/Balance"
NOW = 1_700_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def keys(tmp_path: Path, clock: Clock):
    keys = Keys(tmp_path / "keys.sqlite", clock)
    yield keys
    keys.close()


def asked(keys: Keys, known: ApiKey, number: str, /, **changes) -> str:
    """A rightly signed request, but for `changes`."""
    body = changes.get("body", f"nonce={number}".encode())
    call = {"path": PATH, "key": known.key, "body": body, "nonce": number}
    call["signed"] = signature(PATH, number, body, known.secret)
    return keys.authenticate(**{**call, **changes})


def test_the_signature_is_the_one_that_kraken_publishes() -> None:
    # docs.kraken.com, guides, spot-rest-auth: the worked example
    secret = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    assert signature("/0/private/AddOrder", "1616492376594", body, secret) == (
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


def test_a_signed_request_is_its_accounts(keys: Keys) -> None:
    assert asked(keys, keys.issue("ann"), "1") == "ann"
    assert asked(keys, keys.issue("bob"), "1") == "bob"


def test_a_json_body_is_signed_as_it_is(keys: Keys) -> None:
    assert asked(keys, keys.issue("ann"), "7", body=b'{"nonce": 7, "pair": "XBTUSDT"}') == "ann"


def test_keys_look_like_krakens(keys: Keys) -> None:
    issued = keys.issue("ann")
    assert len(base64.b64decode(issued.key)) == 42
    assert len(issued.key) == 56
    assert len(base64.b64decode(issued.secret)) == 64
    assert issued.secret not in repr(issued)


@pytest.mark.parametrize("key", ["", "nobody", "\udcff", "ключ"])
def test_an_unknown_key_is_refused(keys: Keys, key: str) -> None:
    with pytest.raises(Refused, match="EAPI:Invalid key"):
        asked(keys, keys.issue("ann"), "1", key=key)


@pytest.mark.parametrize("signed", ["", "AAAA", "\udcff", "подпись"])
def test_a_wrong_signature_is_refused_and_uses_up_no_nonce(keys: Keys, signed: str) -> None:
    key = keys.issue("ann")
    with pytest.raises(Refused, match="EAPI:Invalid signature"):
        asked(keys, key, "5", signed=signed)
    assert asked(keys, key, "5") == "ann"


@pytest.mark.parametrize(
    "change", [{"body": b"nonce=5&volume=9"}, {"path": "/0/private/AddOrder"}, {"nonce": "6"}]
)
def test_a_signature_of_another_request_is_refused(keys: Keys, change: dict) -> None:
    key = keys.issue("ann")
    signed = signature(PATH, "5", b"nonce=5", key.secret)
    with pytest.raises(Refused, match="EAPI:Invalid signature"):
        asked(keys, key, "5", signed=signed, **change)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_a_nonce_is_taken_when_it_is_above_all_before(tmp_path_factory, nonces: list[int]) -> None:
    keys = Keys(tmp_path_factory.mktemp("keys") / "keys.sqlite", Clock(NOW))
    key = keys.issue("ann")
    highest = -1
    for nonce in nonces:
        if nonce > highest:
            asked(keys, key, str(nonce))
            highest = nonce
        else:
            with pytest.raises(Refused, match="EAPI:Invalid nonce"):
                asked(keys, key, str(nonce))
    keys.close()


@pytest.mark.parametrize("nonce", ["", "-1", "1.5", "1e9", str(2**64), "9" * 30, "١٢٣", "nonce"])
def test_what_is_no_nonce_is_refused(keys: Keys, nonce: str) -> None:
    with pytest.raises(Refused, match="EAPI:Invalid nonce"):
        asked(keys, keys.issue("ann"), nonce)


def test_a_restart_takes_no_old_nonce(tmp_path: Path, clock: Clock) -> None:
    before = Keys(tmp_path / "keys.sqlite", clock)
    key = before.issue("ann")
    asked(before, key, "10")
    before.close()
    after = Keys(tmp_path / "keys.sqlite", clock)
    with pytest.raises(Refused, match="EAPI:Invalid nonce"):
        asked(after, key, "10")
    assert asked(after, key, "11") == "ann"
    after.close()


def test_two_processes_share_one_nonce(tmp_path: Path, clock: Clock) -> None:
    one, other = Keys(tmp_path / "keys.sqlite", clock), Keys(tmp_path / "keys.sqlite", clock)
    key = one.issue("ann")
    asked(other, key, "10")
    with pytest.raises(Refused, match="EAPI:Invalid nonce"):
        asked(one, key, "10")
    one.close()
    other.close()


def test_nobody_else_can_read_the_secrets(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "keys.sqlite").touch(0o644)
    keys = Keys(tmp_path / "keys.sqlite", clock)
    keys.issue("ann")
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}
    keys.close()


def test_a_key_may_only_do_what_it_was_made_for(keys: Keys) -> None:
    reader = keys.issue("ann", [Permission.QUERY_FUNDS])
    assert asked(keys, reader, "1", permissions=[Permission.QUERY_FUNDS]) == "ann"
    with pytest.raises(Refused, match="EGeneral:Permission denied"):
        asked(keys, reader, "2", permissions=[Permission.MODIFY, Permission.CANCEL])


def test_a_revoked_key_opens_nothing(keys: Keys) -> None:
    key = keys.issue("ann")
    assert keys.revoke(key.key)
    assert not keys.revoke(key.key)
    with pytest.raises(Refused, match="EAPI:Invalid key"):
        asked(keys, key, "1")


def test_keys_are_listed_by_account(keys: Keys) -> None:
    ann, bob, more = keys.issue("ann"), keys.issue("bob"), keys.issue("ann", [Permission.CANCEL])
    assert keys.keys() == (ann, bob, more)
    assert keys.keys("ann") == (ann, more)


def test_a_key_of_ones_own_must_be_one(keys: Keys) -> None:
    own = ApiKey("mine", base64.b64encode(b"secret").decode(), "ann", frozenset(Permission))
    keys.add(own)
    assert asked(keys, own, "1") == "ann"
    with pytest.raises(InvalidValue, match="known already"):
        keys.add(own)
    with pytest.raises(InvalidValue, match="not base64"):
        keys.add(ApiKey("other", "no base64!", "ann", frozenset()))


def test_a_token_lives_for_fifteen_minutes(keys: Keys, clock: Clock) -> None:
    token = keys.token("ann")
    clock.now = NOW + 900
    assert keys.account_of(token) == "ann"
    clock.now = NOW + 901
    with pytest.raises(Refused, match="ESession:Invalid session"):
        keys.account_of(token)


def test_a_token_that_is_used_does_not_end(keys: Keys, clock: Clock) -> None:
    token = keys.token("ann")
    keys.hold(token)
    keys.hold(token)
    clock.now = NOW + 86_400
    keys.release(token)
    assert keys.account_of(token) == "ann"
    keys.release(token)
    with pytest.raises(Refused, match="ESession:Invalid session"):
        keys.hold(token)


def test_a_token_that_nobody_was_given_opens_nothing(keys: Keys) -> None:
    with pytest.raises(Refused, match="ESession:Invalid session"):
        keys.account_of("made up")
    keys.release("made up")


def test_a_damaged_file_is_one_clear_error(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "keys.sqlite"
    file.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(UnreadableFile, match=r"keys\.sqlite.*issue the API keys again"):
        Keys(file, clock)


def test_a_folder_is_no_file_for_keys(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        Keys(tmp_path, clock)


def test_a_file_that_another_process_holds_is_one_clear_error(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.sandbox.keys.PATIENCE", 0.01)
    keys = Keys(tmp_path / "keys.sqlite", clock)
    holder = sqlite3.connect(tmp_path / "keys.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnreadableFile, match=r"locked.*another process"):
        keys.issue("ann")
    holder.close()
    keys.close()
