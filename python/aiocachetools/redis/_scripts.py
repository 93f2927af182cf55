"""What has to be decided in the server, in one step: who loads a key, and whose result is stored.

Keys: the value's and the lease's.  The lease holds the token of who loads (a client may send a script
twice, when it does not know whether it has arrived; and what never expires is no lease), or ``!n:Type`` for a
while after a load has failed for the n-th time in a row.  Whatever changes a value is also
published, for those who cannot have the server track what they have read: who published, in eight
bytes, and the key.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from ._client import Client, Part
from ._errors import ReplyError

__all__ = (
    "ACQUIRE",
    "BUMP",
    "FAIL",
    "GIVEN_UP",
    "HELD",
    "INVALIDATE",
    "LOAD",
    "PUBLISH",
    "PUT",
    "RENEW",
    "VALUE",
)

# What ACQUIRE answers with.
VALUE = 1
LOAD = 2
HELD = 3
GIVEN_UP = 4

MAX_FAILURES = 2


class Script:
    """A script, run by its hash; sent anew where the server has forgotten it."""

    def __init__(self, text: str) -> None:
        self._text = text.strip().encode()
        self._sha = hashlib.sha1(self._text, usedforsecurity=False).hexdigest().encode()

    async def run(self, client: Client, keys: Sequence[bytes], *arguments: Part) -> Any:
        """Run it.

        Raises:
            ReplyError: When the server refuses.
            ConnectionError, TimeoutError: When it cannot be asked.
        """
        try:
            return await client.execute(b"EVALSHA", self._sha, len(keys), *keys, *arguments)
        except ReplyError as error:
            if error.code != "NOSCRIPT":
                raise
        return await client.execute(b"EVAL", self._text, len(keys), *keys, *arguments)


# token, lease in ms, 1 if the caller has waited, what a value begins with that the
# caller has refused, after a ! ('' for none): {1}, {2, failures so far}, {3, ms left}, {4, type of the last failure}.
ACQUIRE = Script(f"""
local value = redis.call('GET', KEYS[1])
if value and (ARGV[4] == '' or string.sub(value, 1, #ARGV[4] - 1) ~= string.sub(ARGV[4], 2)) then return {{{VALUE}}} end
local lease = redis.call('GET', KEYS[2])
local failures = 0
if lease and string.sub(lease, 1, 1) == '!' then
  failures = tonumber(string.match(lease, '^!(%d+)')) or 0
  if ARGV[3] == '1' and failures >= {MAX_FAILURES} then
    return {{{GIVEN_UP}, string.match(lease, ':(.*)$') or ''}}
  end
elseif lease and lease ~= ARGV[1] then
  local left = redis.call('PTTL', KEYS[2])
  if left >= 0 then return {{{HELD}, left}} end
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {{{LOAD}, failures}}
""")

# token, value, ms to live, channel, origin: 1, or 0 when the token does not hold the lease.  The value is
# read so that the server tracks it for this client.
PUBLISH = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[4], ARGV[5] .. KEYS[1])
redis.call('GET', KEYS[1])
return 1
""")

# token, what stays in place of the lease ('' for nothing), ms for it to stay, channel, origin.
FAIL = Script("""
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[2])
else redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
redis.call('PUBLISH', ARGV[4], ARGV[5] .. KEYS[1])
return 1
""")

# token, lease in ms.
RENEW = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

# channel, origin: how many values were there.
INVALIDATE = Script("""
local removed = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[1], ARGV[2] .. KEYS[1])
return removed
""")

# value, ms to live, channel, origin.
PUT = Script("""
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[3], ARGV[4] .. KEYS[1])
return 1
""")

# version, ms to live, channel, origin.
BUMP = Script("""
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4] .. KEYS[1])
return 1
""")
