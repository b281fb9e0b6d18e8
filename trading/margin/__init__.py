"""Trading on margin: what a venue charges for a loan, and when it liquidates."""
