"""Guarded rows in Redis: the hashes that Feast reads, written by one script that compares times first.

A script runs alone in Redis, so the guard holds whoever else writes. Beside Feast's fields each hash keeps
`_at:<view>`, both times in microseconds, because Feast's own field has only the event's.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

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
for i = 1, #KEYS do
  local event, known = ARGV[place + 1], ARGV[place + 2]
  local newer = true
  local stored = redis.call('HGET', KEYS[i], at)
  if stored then
    local e, k = string.match(stored, '^(-?%d+):(-?%d+)$')
    local de, dk = tonumber(event) - tonumber(e), tonumber(known) - tonumber(k)
    newer = de > 0 or (de == 0 and dk > 0)
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


def script_calls(
    view_name: str, names: Sequence[str], rows: Sequence[Row], *, project: str = PROJECT
) -> Iterator[tuple[list[bytes], list[bytes | int]]]:
    """Keys and arguments of `GUARDED_WRITE`, in batches small enough not to hold Redis up."""
    head: list[bytes | int] = [
        len(names),
        f"_at:{view_name}".encode(),
        f"_ts:{view_name}".encode(),
        *(field_name(view_name, name) for name in names),
    ]
    suffix = project.encode()
    for start in range(0, len(rows), BATCH_ROWS):
        part = rows[start : start + BATCH_ROWS]
        arguments = list(head)
        for row in part:
            arguments += (row.event_us, row.known_us, timestamp(row.event_us), *row.values)
        yield [row.key + suffix for row in part], arguments
