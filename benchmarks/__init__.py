"""aiocachetools beside its peers, as ratios to a bare await: `make bench`."""
