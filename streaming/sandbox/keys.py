"""API keys with their secrets and permissions, nonces that only rise, and WebSocket tokens."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streaming.sandbox.limits import INVALID_SESSION
from streaming.sandbox.model import Refused
from trading.errors import InvalidValue, UnreadableFile

TOKEN_SECONDS = 900.0  # docs.kraken.com: a token has to be used within 15 minutes
MAX_NONCE = 2**64 - 1
NONCE_DIGITS = 20  # all nonces are kept this long, so that text compares like numbers; SQLite's end at 2**63
PATIENCE = 5.0  # seconds to wait for another process that writes the same file

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    account TEXT NOT NULL,
    permissions TEXT NOT NULL,
    nonce TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL DEFAULT 0
) STRICT
"""


class Permission(StrEnum):
    """What a key may do, in the words of Kraken's key page."""

    QUERY_FUNDS = "query-funds"
    QUERY_OPEN = "query-open-trades"
    QUERY_CLOSED = "query-closed-trades"
    QUERY_LEDGER = "query-ledger"
    MODIFY = "modify-trades"  # create and modify orders
    CANCEL = "close-trades"
    WEBSOCKET = "access-websockets"
    WITHDRAW = "withdraw-funds"  # nothing can be withdrawn here; for programs that refuse such a key


ALL = frozenset(Permission) - {Permission.WITHDRAW}


@dataclass(frozen=True, slots=True)
class ApiKey:
    key: str
    secret: str  # base64, as Kraken gives it out
    account: str
    permissions: frozenset[Permission]
    created: int = 0  # server time, seconds since 1970
    nonce: str = ""  # the newest

    def __repr__(self) -> str:
        return f"ApiKey({self.key!r}, account={self.account!r})"  # a secret has no place in a log


@dataclass(slots=True)
class _Token:
    account: str
    expires: float
    subscriptions: int = 0


def signature(path: str, nonce: str, body: bytes, secret: str) -> str:
    """Return `API-Sign` of a request; `body` exactly as sent, `path` with its leading /0.

    InvalidValue when the secret is not base64. Kraken: HMAC-SHA512 of path + SHA256(nonce + body).
    """
    try:
        key = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(f"the API secret is not base64: {error}") from error
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.digest(key, path.encode() + digest, "sha512")).decode()


class Keys:
    """Keys and last nonces are in a file that only its owner can read; tokens end with the process."""

    def __init__(self, store: Path, server: Callable[[], float] = time.time) -> None:
        self._store = store
        self._server = server
        self._tokens: dict[str, _Token] = {}
        self._database = _open_database(store)

    def close(self) -> None:
        self._database.close()

    def issue(self, account: str, permissions: Iterable[Permission] = ALL) -> ApiKey:
        issued = ApiKey(
            key=base64.b64encode(secrets.token_bytes(42)).decode(),
            secret=base64.b64encode(secrets.token_bytes(64)).decode(),
            account=account,
            permissions=frozenset(permissions),
            created=int(self._server()),
        )
        self.add(issued)
        return issued

    def add(self, key: ApiKey) -> None:
        """Accept a key made elsewhere. InvalidValue when it is known already or its secret is not base64."""
        signature("", "", b"", key.secret)
        row = (key.key, key.secret, key.account, ",".join(sorted(key.permissions)), key.created)
        with self._file() as database:
            statement = "INSERT OR IGNORE INTO keys (key, secret, account, permissions, created) VALUES (?, ?, ?, ?, ?)"
            if database.execute(statement, row).rowcount != 1:
                raise InvalidValue(f"API key {key.key!r} is known already: revoke it first")

    def revoke(self, key: str) -> bool:
        """Remove a key. Return False when no such key was known."""
        with self._file() as database:
            return database.execute("DELETE FROM keys WHERE key = ?", (key,)).rowcount == 1

    def keys(self, account: str | None = None) -> tuple[ApiKey, ...]:
        """Return all keys, or those of one account, in the order in which they were issued."""
        with self._file() as database:
            rows = database.execute(
                "SELECT key, secret, account, permissions, created, nonce FROM keys ORDER BY rowid"
            )
            known = tuple(_api_key(row) for row in rows)
        return tuple(key for key in known if account in (None, key.account))

    def authenticate(
        self,
        path: str,
        key: str,
        signed: str,
        body: bytes,
        nonce: str,
        permissions: Iterable[Permission] = (),
    ) -> str:
        """Return the account that sent this request; raise Refused for a wrong key, signature, nonce or permission.

        A nonce is used up as soon as the signature is right, whatever becomes of the request.
        """
        known = self.known(key)
        expected = signature(path, nonce, body, known.secret)
        if not (signed.isascii() and hmac.compare_digest(expected, signed)):
            raise Refused("EAPI:Invalid signature")
        self._use_nonce(key, nonce)
        wanted = frozenset(permissions)
        if wanted and not wanted & known.permissions:
            raise Refused("EGeneral:Permission denied")
        return known.account

    def known(self, key: str) -> ApiKey:
        """Return the key with this name; raise Refused when there is none."""
        if not key.isascii():  # a header may carry what is no text at all
            raise Refused("EAPI:Invalid key")
        with self._file() as database:
            query = "SELECT key, secret, account, permissions, created, nonce FROM keys WHERE key = ?"
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            raise Refused("EAPI:Invalid key")
        return _api_key(row)

    def token(self, account: str) -> str:
        """Issue a token for the WebSocket, to be used within 900 seconds of server time."""
        self._forget_expired()
        token = base64.b64encode(secrets.token_bytes(32)).decode()
        self._tokens[token] = _Token(account, self._server() + TOKEN_SECONDS)
        return token

    def account_of(self, token: str) -> str:
        """Raise Refused for a token that was never issued, or is older than 900 seconds and not in use."""
        return self._alive(token).account

    def hold(self, token: str) -> None:
        """Note that a private subscription began with this token: it does not expire before `release`."""
        self._alive(token).subscriptions += 1

    def release(self, token: str) -> None:
        """Note that a private subscription with this token ended; the 900 seconds still count from its issue."""
        if (known := self._tokens.get(token)) is not None:
            known.subscriptions = max(0, known.subscriptions - 1)

    def _alive(self, token: str) -> _Token:
        self._forget_expired()
        try:
            return self._tokens[token]
        except KeyError:
            raise Refused(INVALID_SESSION) from None

    def _forget_expired(self) -> None:
        now = self._server()
        for token in [name for name, it in self._tokens.items() if it.expires < now and not it.subscriptions]:
            del self._tokens[token]

    def _use_nonce(self, key: str, nonce: str) -> None:
        if not (nonce.isascii() and nonce.isdigit() and len(nonce) <= NONCE_DIGITS):
            raise Refused("EAPI:Invalid nonce")
        if int(nonce) > MAX_NONCE:
            raise Refused("EAPI:Invalid nonce")
        padded = nonce.zfill(NONCE_DIGITS)
        statement = "UPDATE keys SET nonce = ? WHERE key = ? AND nonce < ?"
        with self._file() as database:
            if database.execute(statement, (padded, key, padded)).rowcount != 1:
                raise Refused("EAPI:Invalid nonce")

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            with self._database:
                yield self._database
        except sqlite3.Error as error:
            raise _unreadable(self._store, error) from error


def _open_database(store: Path) -> sqlite3.Connection:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        if (
            not store.exists()
        ):  # closing any other descriptor would end the locks of a connection of this process
            os.close(os.open(store, os.O_RDWR | os.O_CREAT, 0o600))
        store.chmod(0o600)  # SQLite gives its other files the same rights
        database = sqlite3.connect(store, timeout=PATIENCE)
    except (OSError, sqlite3.Error) as error:
        raise UnreadableFile(f"{store} cannot be opened for API keys: {error}") from error
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a nonce survives this process, not a power cut
        database.execute(SCHEMA)
        if "created" not in {row[1] for row in database.execute("PRAGMA table_info(keys)")}:
            database.execute("ALTER TABLE keys ADD COLUMN created INTEGER NOT NULL DEFAULT 0")
        database.commit()
    except sqlite3.Error as error:
        with closing(database):
            raise _unreadable(store, error) from error
    return database


def _unreadable(store: Path, error: sqlite3.Error) -> UnreadableFile:
    if isinstance(error, sqlite3.OperationalError):
        return UnreadableFile(f"{store}: {error}; is another process holding it, or the disk full?")
    return UnreadableFile(f"{store}: {error}; move it away and issue the API keys again")


def _api_key(row: tuple[str, str, str, str, int, str]) -> ApiKey:
    key, secret, account, permissions, created, nonce = row
    granted = frozenset(Permission(name) for name in permissions.split(",") if name)
    return ApiKey(key, secret, account, granted, created, nonce.lstrip("0"))
