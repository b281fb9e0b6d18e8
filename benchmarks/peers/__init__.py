"""Other back-test engines on the signals of `benchmarks.market`: each in its own environment, none in ours."""
