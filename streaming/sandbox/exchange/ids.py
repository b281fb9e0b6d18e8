"""Order and execution ids in Kraken's form: 17 letters and digits, the same number always gives the same id."""

import base64
from hashlib import blake2b


def order_id(number: int) -> str:
    """OXXXXX-XXXXX-XXXXXX"""
    return _spelled("O", number)


def execution_id(number: int) -> str:
    """TXXXXX-XXXXX-XXXXXX"""
    return _spelled("T", number)


def _spelled(first: str, number: int) -> str:
    """A digest, so that ids look as scattered as the venue's and none can be guessed from another."""
    letters = base64.b32encode(blake2b(f"{first}{number}".encode(), digest_size=10).digest()).decode()
    return f"{first}{letters[:5]}-{letters[5:10]}-{letters[10:]}"
