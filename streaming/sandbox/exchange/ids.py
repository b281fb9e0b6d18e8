"""Order and execution ids in Kraken's form: 17 letters and digits, other ones on every exchange."""

import base64
from hashlib import blake2b


class Ids:
    """The same number always gives the same id. `salt` is the exchange's own: at most 64 bytes."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def order(self, number: int) -> str:
        """OXXXXX-XXXXX-XXXXXX"""
        return self._spelled("O", number)

    def execution(self, number: int) -> str:
        """TXXXXX-XXXXX-XXXXXX"""
        return self._spelled("T", number)

    def _spelled(self, first: str, number: int) -> str:
        """A digest, so that ids look as scattered as the venue's and none can be guessed from another."""
        digest = blake2b(f"{first}{number}".encode(), digest_size=10, key=self._salt).digest()
        letters = base64.b32encode(digest).decode()
        return f"{first}{letters[:5]}-{letters[5:10]}-{letters[10:]}"
