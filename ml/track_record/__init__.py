"""How good each judge was: recorded votes against what followed, counting only what a model could not have read."""
