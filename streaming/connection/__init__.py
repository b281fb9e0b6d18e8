"""A session on a real socket: attempts within the venue's budget, opening, listening, and what comes after each end."""

from streaming.connection.runner import run_session

__all__ = ["run_session"]
