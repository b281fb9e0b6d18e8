"""The guard: watches open positions and the account's value on the newest ticks, in the streaming process."""
