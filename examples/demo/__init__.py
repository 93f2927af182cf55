"""A burst of requests against a real database, without a cache and with two: `make demo`."""
