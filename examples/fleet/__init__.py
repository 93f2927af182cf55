"""`make demo-fleet`: four processes that share one cache in Valkey, through a crash and an outage."""
