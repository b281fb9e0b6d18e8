"""Other ways to read Kraken's frames and to keep its book, in our own environment, to measure `streaming` beside."""
