"""Every published number has its command here: `make bench`, or `make bench ONLY=<id>`."""
