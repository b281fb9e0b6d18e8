"""Order and execution ids in Kraken's form: 17 letters and digits, other ones on every exchange."""

import base64
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(slots=True)
class IdCounters:
    """The last number given of each kind."""

    orders: int = 0
    executions: int = 0
    priorities: int = 0
    entries: int = 0
    amends: int = 0


class Ids:
    """Gives out ids; the same number always has the same one. `salt` is the exchange's own: at most 64 bytes."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt
        self.counters = IdCounters()

    def next_order(self) -> str:
        """Return OXXXXX-XXXXX-XXXXXX."""
        self.counters.orders += 1
        return self._id("O", self.counters.orders)

    def next_execution(self) -> str:
        """Return TXXXXX-XXXXX-XXXXXX."""
        self.counters.executions += 1
        return self._id("T", self.counters.executions)

    def next_entry(self) -> str:
        """Return LXXXXX-XXXXX-XXXXXX."""
        self.counters.entries += 1
        return self._id("L", self.counters.entries)

    def next_amend(self) -> str:
        """Return TXXXXX-XXXXX-XXXXXX."""
        self.counters.amends += 1
        return self._id("T", self.counters.amends, "amend")

    def next_priority(self) -> int:
        self.counters.priorities += 1
        return self.counters.priorities

    def _id(self, first: str, number: int, kind: str = "") -> str:
        """Digest the number, so that ids look as scattered as the venue's and none can be guessed from another."""
        digest = blake2b(f"{first}{kind}{number}".encode(), digest_size=10, key=self._salt).digest()
        letters = base64.b32encode(digest).decode()
        return f"{first}{letters[:5]}-{letters[5:10]}-{letters[10:]}"
