"""One real upload as JSON bytes -> what a broken, old or hostile client might send in its place.

Each level of the format has its mutations: bytes, the structure of JSON, text, numbers, times and media addresses.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Fields = dict[str, Any]
TEXTS = ("title", "ocr", "asr")
IDS = ("event_id", "video_id", "author_id")

_CHARACTERS = (
    "\u0000", "\u001b[2J", "\u202e", "\u200b", "\ufeff", "\ufffe", "\uffff", "\U0010ffff", "\ud800", "\udfff", "\r\n",
    "́" * 400, "👨‍👩‍👧‍👦", "ﷺ" * 50, "𝕏", "i̇", "ß", "ｈｔｔｐ", "'; DROP TABLE verdicts; --", "{{7*7}}", "${jndi:ldap://x}",
    "<script>alert(1)</script>", "../../etc/passwd", "%00%n%s", "\\u0000", '"', "\\", "\u2028", "𠀀" * 700,
    "字" * 2_001,
)  # fmt: skip
_NUMBERS: tuple[Any, ...] = (
    -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.0, 1.5, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), float("-inf"), True, False, None, "12", "１２", "0x10", "1e3", [], [1], {},
    {"value": 1},
)  # fmt: skip
_TIMES: tuple[Any, ...] = (
    "2026-11-23T08:00:00", "2026-11-23", "08:00:00Z", "2026-02-30T08:00:00Z", "2026-11-23T24:00:00Z",
    "2026-11-23T23:59:60Z", "2026-11-23t08:00:00z", "2026-11-23 08:00:00+00:00", "2026-11-23T08:00:00+14:00",
    "2026-11-23T08:00:00-23:59", "2026-11-23T08:00:00+99:99", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "-2026-11-23T08:00:00Z", "2026-11-23T08:00:00.123456789012Z",
    "２０２６-11-23T08:00:00Z", "now", "", "T", "2026-W48-1", "2026-327T08:00Z", 1_795_420_800, 1_795_420_800_000,
    -1, 1e400, "1795420800", None, [], {"$date": 0},
)  # fmt: skip
_ADDRESSES = (
    "http://169.254.169.254/latest/meta-data", "https://localhost:8123/?query=SELECT+1", "file:///etc/passwd",
    "file:///etc/passwd\n", "/proc/self/environ", "/dev/zero", "/dev/stdin", "concat:/etc/passwd|/etc/group",
    "subfile,,start,0,end,9,,:/etc/passwd", "data:video/mp4;base64,AAAA", "crypto:/etc/passwd", "pipe:0", "fd:3",
    "tcp://127.0.0.1:9092", "rtmp://x/y", "hls+file:///x", "file://host/share", "\\\\host\\share", "//host/share",
    "file:///%00", "file:///%2e%2e/%2e%2e/etc/passwd", "javascript:alert(1)", "", " ", "/", ".", "a" * 1_999,
    "/" * 1_999,
    "file:///" + "../" * 600, "http://[::1", "http://:@/", "/\ud800", "\u0000", "/tmp\u0000.mp4", "FILE:///etc/passwd",
)  # fmt: skip


def mutated(event: bytes, other: bytes, rng: random.Random, addresses: Sequence[str] = ()) -> tuple[str, bytes | None]:
    """The name of a level and what becomes of an event there; `addresses` are of real media, to be mutated too."""
    level = rng.choice(LEVELS)
    if level == "as it is":
        return level, event
    if level == "bytes":
        return level, _bytes(event, other, rng)
    fields = json.loads(event)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if level == "addresses":
            fields["media_url"] = _address(rng, addresses)
        else:
            _OF_FIELDS[level](fields, rng)
    text = json.dumps(fields, ensure_ascii=rng.random() < 0.5)
    if level == "structure":
        text = _of_text(text, fields, rng)
    return level, text.encode("utf-8", "surrogatepass")


def _bytes(event: bytes, other: bytes, rng: random.Random) -> bytes | None:
    data = bytearray(event)
    at, width = rng.randrange(len(data)), rng.choice((1, 2, 8, 64))
    match rng.randrange(10):
        case 0:
            for _ in range(rng.choice((1, 1, 3, 20))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[at : at + width]
        case 2:
            data[at:at] = data[at : at + width] * rng.choice((1, 2, 50))
        case 3:
            data[at:at] = rng.randbytes(width)
        case 4:
            del data[at:]
        case 5:
            data[at:] = other[rng.randrange(len(other)) :]
        case 6:
            data = bytearray(rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\x1f\x8b\x08", b"\xff"))) + data
        case 7:
            data = bytearray(event.decode().encode(rng.choice(("utf-16", "utf-32", "gb18030", "utf-7"))))
        case 8:
            data = bytearray(rng.randbytes(rng.randrange(200)))
        case _:
            return rng.choice((None, b"", b" ", b"\n\n", b"null", b"0", b'""', event + event, event + b"\0"))
    return bytes(data)


def _structure(fields: Fields, rng: random.Random) -> None:
    name = rng.choice(list(fields) or ["title"])
    match rng.randrange(7):
        case 0:
            fields.pop(name, None)
        case 1:
            fields[
                rng.choice((name.upper(), f"{name} ", f"{name}\0", "__class__", "$ref", "", "event_id.video_id"))
            ] = 1
        case 2:
            fields[name], fields["title"] = fields.get("title"), fields.get(name)
        case 3:
            fields[name] = [fields.get(name)]
        case 4:
            fields[name] = {name: fields.get(name)}
        case 5:
            fields[name] = rng.choice(_NUMBERS)
        case _:
            fields[f"extra{rng.randrange(9)}"] = dict(fields)


def _of_text(text: str, fields: Fields, rng: random.Random) -> str:
    """What only the text of JSON can say: keys twice, endless nesting, what stands behind, what JSON is not."""
    name = rng.choice(list(fields) or ["title"])
    match rng.randrange(8):
        case 0:
            return text[:-1] + f', "{name}": null}}'
        case 1:
            deep = rng.choice((50, 200, 5_000, 100_000))
            return text[:-1] + f', "deep": {"[" * deep}{"]" * deep}}}'
        case 2:
            return rng.choice((f"[{text}]", f"{text}{text}", f"{text} //", text.replace('"', "'"), f"({text})"))
        case 3:
            return text.replace(":", rng.choice((" : ", "=", "::", ",")), 1)
        case _:
            return text


def _text(fields: Fields, rng: random.Random) -> None:
    name = rng.choice(TEXTS if rng.random() < 0.7 else IDS)
    old = fields.get(name)
    old = old if isinstance(old, str) else ""
    at, strange = rng.randrange(len(old) + 1), rng.choice(_CHARACTERS)
    fields[name] = rng.choice((old[:at] + strange + old[at:], strange, "", old * rng.choice((2, 20)), strange * 30))


def _number(fields: Fields, rng: random.Random) -> None:
    feedback = fields.get("feedback")
    if isinstance(feedback, dict) and feedback and rng.random() < 0.7:
        feedback[rng.choice((*feedback, "likes", "skips"))] = rng.choice(_NUMBERS)
    else:
        fields["picture_count"] = rng.choice(_NUMBERS)


def _time(fields: Fields, rng: random.Random) -> None:
    fields["occurred_at"] = rng.choice(_TIMES)


def _address(rng: random.Random, addresses: Sequence[str]) -> str:
    if not addresses or rng.random() < 0.6:
        return rng.choice(_ADDRESSES)
    address = rng.choice(addresses)
    at = rng.randrange(len(address))
    return rng.choice(
        (
            address,
            f"{address[:at]}/../{address[at:]}",
            address[:at] + rng.choice(_CHARACTERS) + address[at:],
            address.replace("file:", rng.choice(("http:", "concat:", "FILE:", "", "file:/"))),
            f"{address}?x=1#y",
            address[:at],
        )
    )


_OF_FIELDS: dict[str, Callable[[Fields, random.Random], None]] = {
    "structure": _structure,
    "text": _text,
    "numbers": _number,
    "times": _time,
}
LEVELS = ("as it is", "bytes", "addresses", *_OF_FIELDS)
