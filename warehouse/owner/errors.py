"""Failures as a ClickHouse server reports them: an error code, a message, and the HTTP status that goes with it."""

import re
from enum import IntEnum


class Code(IntEnum):
    """The error codes that this process raises by itself; the engine's own pass through as they are."""

    BAD_ARGUMENTS = 36
    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    UNKNOWN_COMPRESSION_METHOD = 89
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    SOCKET_TIMEOUT = 209
    QUERY_IS_TOO_LARGE = 229
    ABORTED = 236
    NOT_ENOUGH_SPACE = 243
    CANNOT_DECOMPRESS = 271
    TOO_MANY_BYTES = 307
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    INVALID_SESSION_TIMEOUT = 374
    BAD_REQUEST_PARAMETER = 408
    AUTHENTICATION_FAILED = 516
    UNKNOWN_EXCEPTION = 1002


# A server's own table of statuses, for the codes that one meets here. What it lacks is 500 there; where the request
# is at fault (its size, its encoding, its session, a write over GET), this process says so instead, and 503 where
# the same request may succeed later.
_AT_FAULT = """
    6 8 15 25 26 27 36 37 38 41 44 53 62 72 89 117 123 164 167 168 223 271 321 374 376 408 427 441 675 676
"""
_STATUSES = {
    400: [int(code) for code in _AT_FAULT.split()],
    403: [192, 193, 497, 512, 516],
    404: [46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 372, 511],
    408: [159],
    413: [229, 307],
    501: [48],
    503: [76, 202, 209, 236, 439],
}
_STATUS_OF = {code: status for status, codes in _STATUSES.items() for code in codes}
_MESSAGE = re.compile(r"Code: (\d+)\. .*", re.DOTALL)


class ClickHouseError(Exception):
    """A request that fails, with its ClickHouse error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def from_engine(cls, error: Exception) -> "ClickHouseError":
        """Read the engine's own text: what precedes `Code: N.` is the binding's, not the engine's."""
        found = _MESSAGE.search(str(error))
        if found is None:
            return cls(Code.UNKNOWN_EXCEPTION, f"Code: {Code.UNKNOWN_EXCEPTION}. DB::Exception: {error}")
        return cls(int(found.group(1)), found.group(0).strip())

    @property
    def status(self) -> int:
        return _STATUS_OF.get(self.code, 500)


def refuse(code: Code, message: str) -> ClickHouseError:
    """A failure found before the engine was asked, worded as a server words its own."""
    return ClickHouseError(code, f"Code: {code}. DB::Exception: {message}. ({code.name})")
