"""Borrowing to trade: what a venue charges for it, and when it steps in."""
