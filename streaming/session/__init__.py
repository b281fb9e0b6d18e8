"""The lifetime of a stream without its socket and clock: what is subscribed to, received and missed."""

from streaming.session.session import Session

__all__ = ["Session"]
