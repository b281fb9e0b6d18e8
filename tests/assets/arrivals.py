"""When candles of a test became known."""


def no_arrival() -> None:
    """They are history: nobody noted when they arrived."""
