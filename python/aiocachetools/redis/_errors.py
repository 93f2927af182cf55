"""What the Redis tier raises."""

__all__ = ("LoadFailedElsewhereError", "ReplyError", "TierError", "TierUnavailableError")


class TierError(Exception):
    """Something about the shared tier, not about the function whose results it keeps."""


class TierUnavailableError(TierError, ConnectionError):
    """The server does not answer, so that a change cannot be made known to other processes."""


class LoadFailedElsewhereError(TierError):
    """Two other processes have tried to load the result that this one has waited for, and failed."""


class ReplyError(TierError):
    """The server has answered with an error; ``code`` is its first word."""

    @property
    def code(self) -> str:
        """What kind of error it is: ``"NOSCRIPT"``, ``"OOM"``, ``"READONLY"``, ..."""
        return str(self).partition(" ")[0]
