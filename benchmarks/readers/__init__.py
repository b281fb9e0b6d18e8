"""Other readers of Kraken's frames and another order book, in our own environment, to compare `streaming` with."""
