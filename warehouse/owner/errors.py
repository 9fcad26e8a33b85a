"""Failures as a ClickHouse server reports them: an error code, a message, and the HTTP status that goes with it."""

import re
from enum import IntEnum


class Code(IntEnum):
    """The error codes that this process raises by itself; the engine's own pass through as they are."""

    BAD_ARGUMENTS = 36
    NOT_IMPLEMENTED = 48
    UNKNOWN_TABLE = 60
    SYNTAX_ERROR = 62
    UNKNOWN_DATABASE = 81
    UNKNOWN_COMPRESSION_METHOD = 89
    TIMEOUT_EXCEEDED = 159
    READONLY = 164
    QUERY_IS_TOO_LARGE = 229
    CANNOT_DECOMPRESS = 271
    TOO_MANY_BYTES = 307
    SESSION_NOT_FOUND = 372
    SESSION_IS_LOCKED = 373
    INVALID_SESSION_TIMEOUT = 374
    BAD_REQUEST_PARAMETER = 408
    AUTHENTICATION_FAILED = 516
    UNKNOWN_EXCEPTION = 1002


_STATUS = {
    Code.NOT_IMPLEMENTED: 501,
    Code.UNKNOWN_TABLE: 404,
    Code.SESSION_NOT_FOUND: 404,
    Code.UNKNOWN_DATABASE: 404,
    Code.TIMEOUT_EXCEEDED: 408,
    Code.QUERY_IS_TOO_LARGE: 413,
    Code.TOO_MANY_BYTES: 413,
    Code.AUTHENTICATION_FAILED: 403,
}
# Text, type and format errors: the request is at fault, not this process.
_BAD_REQUEST = {6, 27, 32, 33, 36, 43, 46, 47, 53, 62, 72, 73, 89, 115, 117, 164, 271, 374, 408}
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
        known = _STATUS.get(Code(self.code)) if self.code in Code._value2member_map_ else None
        return known or (400 if self.code in _BAD_REQUEST else 500)


def refuse(code: Code, message: str) -> ClickHouseError:
    """A failure found before the engine was asked, worded as a server words its own."""
    return ClickHouseError(code, f"Code: {code}. DB::Exception: {message}. ({code.name})")
