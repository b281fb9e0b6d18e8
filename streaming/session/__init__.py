"""The lifetime of a stream without its socket and clock: what is subscribed to, what is heard, what was missed."""

from streaming.session.session import Session

__all__ = ["Session"]
