"""Authentication of private calls: the key of a Kraken account and the signature."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from trading.errors import NotAuthorised

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
        """A name for the key, in the database and in files, that does not reveal it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def signature(path: str, nonce: int, body: str, secret: str) -> str:
    """Compute API-Sign for the exact bytes of `body`, which holds the nonce too; `secret` is base64.

    docs.kraken.com/exchange/guides/rest/authentication
    """
    message = path.encode() + hashlib.sha256(f"{nonce}{body}".encode()).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(secret), message, hashlib.sha512)).decode()
