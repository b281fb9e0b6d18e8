"""Authentication of private calls: the key of a Kraken account, its rising nonces, and the signature."""

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trading.errors import NotAuthorised, UnreadableFile
from trading.venues.kraken.locked_file import LockedFile

KEY = "KRAKEN_API_KEY"
SECRET = "KRAKEN_API_SECRET"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key and its secret, never shown. NotAuthorised for a secret that cannot be one."""

    key: str = field(repr=False)
    secret: str = field(repr=False)  # base64, as Kraken gives it out

    def __post_init__(self) -> None:
        if not self.key or not (self.key.isascii() and self.key.isprintable()):
            raise NotAuthorised(f"{KEY} is empty or holds characters that no key has: copy it again")
        try:
            usable = base64.b64decode(self.secret, validate=True)
        except (binascii.Error, ValueError):
            usable = b""
        if not usable:
            raise NotAuthorised(f"{SECRET} is not the base64 text that Kraken gives out: copy it again")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Credentials":
        """Read both from the environment. NotAuthorised naming the variables that are missing."""
        if missing := [name for name in (KEY, SECRET) if not environment.get(name)]:
            raise NotAuthorised(
                f"{' and '.join(missing)} not set: make a key at kraken.com (Settings, API) that may query funds and "
                "query, create and cancel orders, and nothing else"
            )
        return cls(environment[KEY].strip(), environment[SECRET].strip())

    @property
    def fingerprint(self) -> str:
        """A name for the key in files that does not reveal it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def signature(path: str, nonce: int, body: str, secret: str) -> str:
    """Compute API-Sign for the exact bytes of `body`, which holds the nonce too; `secret` is base64.

    docs.kraken.com/exchange/guides/rest/authentication
    """
    message = path.encode() + hashlib.sha256(f"{nonce}{body}".encode()).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(secret), message, hashlib.sha512)).decode()


class Nonces:
    """Numbers for one API key that only rise, in all processes and after every restart.

    Microseconds since 1970, or one more than the last nonce where the clock is not ahead of it.
    """

    def __init__(
        self, folder: Path, fingerprint: str, clock: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._file = LockedFile(folder / f"{fingerprint}.nonce")
        self._clock = clock

    def next(self) -> int:
        """Store and return a new nonce. UnreadableFile when the last one cannot be known any more."""
        with self._file.locked():
            nonce = max(self._last() + 1, self._clock())
            self._file.replace(str(nonce))
        return nonce

    def _last(self) -> int:
        text = self._file.read()
        if text is None:
            return 0
        if not (text.isascii() and text.isdigit()):
            raise UnreadableFile(
                f"{self._file.path} does not hold the last nonce: remove it (Kraken refuses a nonce that is too low)"
            )
        return int(text)
