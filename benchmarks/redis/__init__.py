"""`make acceptance-redis`: what the Redis tier promises, counted and measured against a real server."""
