"""Takes secrets out of what people and logs get to see."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote

HIDDEN = "***"
MIN_PART = 6  # characters of a part of an address that may be a token; shorter ones are words such as "html"
MIN_VALUE = 8  # characters of a variable that may be a secret
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")  # user and password of any address
_PASSWORD = re.compile(r"\b(password|passwd|token|secret|api[_-]?key)(\s*[=:]\s*)[^\s,;&]+", re.IGNORECASE)


def secrets_of_urls(urls: Collection[str]) -> frozenset[str]:
    """Return everything of these addresses that may be a secret, as written and decoded: where a token stands is
    different for each messenger, it may be the host, in the path, or a parameter."""
    found = set(urls)
    for url in urls:
        rest = url.partition("://")[2]
        parts = re.split(r"[/?&=,;]", rest)
        if "@" in rest:
            login = rest.rpartition("@")[0]
            found |= {each for each in (login, *login.split(":", 1)) if each}
            parts += re.split(r"[/?&=,;:@]", rest)
        found |= {each for each in parts if len(each) >= MIN_PART}
    return frozenset(found | {unquote(each) for each in found})


def secrets_of_environment(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the values of the variables whose names speak of a key, a token or a password."""
    return frozenset(
        value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= MIN_VALUE
    )


def redact(text: str, secrets: Collection[str]) -> str:
    """Return the text with `***` for each of the secrets, for logins in addresses, and for what `password=` names."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _PASSWORD.sub(rf"\1\2{HIDDEN}", _LOGIN.sub(HIDDEN, text))
