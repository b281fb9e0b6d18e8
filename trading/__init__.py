"""The trade itself: markets, indicators, signals, risk, orders. Pure, typed, and free of any framework."""
