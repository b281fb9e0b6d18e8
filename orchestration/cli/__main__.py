"""`python -m orchestration.cli` is `marketloom`."""

from orchestration.cli import main

main()
