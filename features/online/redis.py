"""Guarded rows in Redis: the hashes that Feast reads, written by one script that compares times first.

A script runs alone in Redis, so the guard holds whoever else writes. Beside Feast's fields each hash keeps
`_at:<view>`, both times in microseconds, because Feast's own field has only the event's. Two scorings of one version
at one microsecond are told apart by a digest of their values, so that whoever comes last the same one stays.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import mmh3

from features.online.rows import Row, timestamp
from features.views import PROJECT

BATCH_ROWS = 256

# KEYS: one hash per row. ARGV: number of values, `_at` field, `_ts` field, the values' fields, then per row
# event_us, known_us, serialized Timestamp, values. Microseconds stay exact in Lua's doubles until the year 2255.
GUARDED_WRITE = """
local n = tonumber(ARGV[1])
local at = ARGV[2]
local place = 3 + n
local written = 0
local names = {}
for f = 1, n do names[f] = ARGV[3 + f] end
local function digest(values)
  for f = 1, n do values[f] = redis.sha1hex(values[f] or '') end
  return redis.sha1hex(table.concat(values))
end
for i = 1, #KEYS do
  local event, known = ARGV[place + 1], ARGV[place + 2]
  local newer = true
  local stored = redis.call('HGET', KEYS[i], at)
  if stored then
    local e, k = string.match(stored, '^(-?%d+):(-?%d+)$')
    local de, dk = tonumber(event) - tonumber(e), tonumber(known) - tonumber(k)
    newer = de > 0 or (de == 0 and dk > 0)
    if de == 0 and dk == 0 then
      local given = {}
      for f = 1, n do given[f] = ARGV[place + 3 + f] end
      newer = digest(given) > digest(redis.call('HMGET', KEYS[i], unpack(names)))
    end
  end
  if newer then
    local pairs = {at, event .. ':' .. known, ARGV[3], ARGV[place + 3]}
    for f = 1, n do
      pairs[#pairs + 1] = ARGV[3 + f]
      pairs[#pairs + 1] = ARGV[place + 3 + f]
    end
    redis.call('HSET', KEYS[i], unpack(pairs))
    written = written + 1
  end
  place = place + 3 + n
end
return written
"""


@lru_cache(maxsize=64)
def field_name(view_name: str, feature: str) -> bytes:
    """The hash field under which Feast keeps a feature: murmur3 of `view:feature`, little-endian."""
    return mmh3.hash(f"{view_name}:{feature}", signed=False).to_bytes(4, "little")


def at_field(view_name: str) -> bytes:
    """The hash field under which the guard keeps both times, `event_us:known_us`."""
    return f"_at:{view_name}".encode()


def ts_field(view_name: str) -> bytes:
    """The hash field under which Feast keeps the event's time."""
    return f"_ts:{view_name}".encode()


def connection_options(deadline_s: float) -> dict[str, Any]:
    """How long a client waits for Redis: for a connection, and for each answer."""
    return {"socket_timeout": deadline_s, "socket_connect_timeout": deadline_s, "socket_keepalive": True}


def script_calls(
    view_name: str, names: Sequence[str], rows: Sequence[Row], *, project: str = PROJECT
) -> Iterator[tuple[list[bytes], list[bytes | int]]]:
    """Keys and arguments of `GUARDED_WRITE`, in batches small enough not to hold Redis up."""
    head: list[bytes | int] = [
        len(names),
        at_field(view_name),
        ts_field(view_name),
        *(field_name(view_name, name) for name in names),
    ]
    suffix = project.encode()
    for start in range(0, len(rows), BATCH_ROWS):
        part = rows[start : start + BATCH_ROWS]
        arguments = list(head)
        for row in part:
            arguments += (row.event_us, row.known_us, timestamp(row.event_us), *row.values)
        yield [row.key + suffix for row in part], arguments
