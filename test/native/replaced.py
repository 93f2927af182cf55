"""A plugin for pytest that puts the native classes in the place of cachetools': see `make test-cachetools`."""

import cachetools

import aiocachetools

for name in ("Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TTLCache", "TLRUCache"):
    setattr(cachetools, name, getattr(aiocachetools, name))
