"""`make demo-resilience`: a FastAPI service whose upstream is slow and then gone, with a cache and without."""
