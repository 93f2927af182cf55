"""A cache that several processes share, in Redis or Valkey."""

from .. import _log as _log  # what is logged here is off until it is enabled as well
from ._codecs import SignedPickle
from ._errors import LoadFailedElsewhereError, TierError, TierUnavailableError
from ._stats import TierStats
from ._tier import RedisTier

__all__ = (
    "LoadFailedElsewhereError",
    "RedisTier",
    "SignedPickle",
    "TierError",
    "TierStats",
    "TierUnavailableError",
)
