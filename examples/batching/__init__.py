"""`make demo-batching`: pages of posts and the author of each, one query at a time and in batches."""
