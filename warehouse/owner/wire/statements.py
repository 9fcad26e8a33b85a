"""Read one SQL statement just far enough to run it: its first keyword, its format, and where its data begins.

The engine takes an INSERT's data apart from its text, and a query's format as an argument; both come in one
piece over HTTP. Only strings, comments, brackets and top-level keywords are looked at, the engine parses the rest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from warehouse.owner.errors import Code, refuse

_TOKEN = re.compile(
    rb"""
      (?P<gap>   \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*` )
    | (?P<heredoc> \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word>  [A-Za-z_]\w* )
    | (?P<open>  [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<end>   ; )
    | (?P<rest>  [^\s'"`$A-Za-z_()\[\]{};/\#-]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ROWS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "FROM", "KILL"})
_READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "FROM"})
_STREAMS = frozenset({"SELECT", "WITH", "FROM"})
_NOT_DATA = frozenset({"SELECT", "WITH", "FROM", "WATCH"})
_BEFORE_NAMES = frozenset({"INTO", "TABLE", "FUNCTION", "AS", "."})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its FORMAT clause; `data_start` is where an INSERT's own data begins, if it has any.

    Of an INSERT with data, `settings` is its SETTINGS clause, which then is not in `text`.
    """

    keyword: str
    text: str
    format: str | None
    data_start: int | None = None
    settings: str = ""

    @property
    def answers(self) -> bool:
        """Whether the statement answers with rows, be they none."""
        return self.keyword in _ROWS

    @property
    def reads(self) -> bool:
        """Whether the statement changes nothing."""
        return self.keyword in _READS

    @property
    def streams(self) -> bool:
        return self.keyword in _STREAMS

    @property
    def changes_session(self) -> bool:
        return self.keyword == "SET"


class _Mark(NamedTuple):
    """A token that is not a gap: its word in capitals if it is one, and whether it stands where a name would."""

    word: str
    start: int
    end: int
    depth: int
    is_name: bool
    ends: bool


def _marks(raw: bytes) -> Iterator[_Mark]:
    depth = 0
    before = ""
    ended = False
    for token in _TOKEN.finditer(raw):
        kind = token.lastgroup
        if kind == "gap":
            continue
        if ended and kind != "end":
            raise refuse(Code.SYNTAX_ERROR, "Syntax error: Multi-statements are not allowed")
        ended = ended or kind == "end"
        depth += (kind == "open") - (kind == "close")
        word = token.group().decode().upper() if kind == "word" else ""
        yield _Mark(word, token.start(), token.end(), depth, before in _BEFORE_NAMES, kind == "end")
        before = word or token.group()[-1:].decode(errors="replace")


def read_statement(raw: bytes) -> Statement:
    """Read the statement at the beginning of `raw`; raises `ClickHouseError` for none and for more than one."""
    marks = _marks(raw)
    keyword = next((mark.word for mark in marks if mark.word), "")
    if not keyword:
        raise refuse(Code.SYNTAX_ERROR, "Syntax error: Empty query")
    return _read_insert(raw, marks) if keyword == "INSERT" else _read_query(keyword, raw, marks)


def _read_insert(raw: bytes, marks: Iterator[_Mark]) -> Statement:
    """Stop at the word behind which the data begins; a SELECT in its place makes it a query without data."""
    clause: int | None = None  # where SETTINGS stands

    def with_data(end: int, form: str | None, data_start: int) -> Statement:
        text = _text(raw[: end if clause is None else clause])
        settings = "" if clause is None else _text(raw[clause:end]).strip()
        return Statement("INSERT", text, form, data_start, settings)

    for mark in marks:
        if not mark.word or mark.depth or mark.is_name:
            continue
        if mark.word == "SETTINGS" and clause is None:
            clause = mark.start
        if mark.word == "VALUES":
            return with_data(mark.start, "Values", mark.end)
        if mark.word == "FORMAT" and (name := next(marks, None)) and name.word:
            start = _after_format(raw, name.end)
            return with_data(mark.start, raw[name.start : name.end].decode(), start)
        if mark.word in _NOT_DATA:
            return _read_query("INSERT SELECT", raw, marks)
    return with_data(len(raw), None, len(raw))


def _read_query(keyword: str, raw: bytes, marks: Iterator[_Mark]) -> Statement:
    """Cut the last FORMAT clause off a statement that answers with rows."""
    end = len(raw)
    start = asked = None  # where the last FORMAT stands, and the mark of its name
    before = ""
    for mark in marks:
        if keyword == "WITH" and not mark.depth and (before, mark.word) == ("INSERT", "INTO"):
            keyword = "INSERT SELECT"
        if mark.ends:
            end = min(end, mark.start)
        elif (before, mark.word) == ("INTO", "OUTFILE") or (keyword, mark.word) == ("INSERT SELECT", "INFILE"):
            raise refuse(Code.NOT_IMPLEMENTED, f"{mark.word} names a file of the server, send the data instead")
        elif mark.word and not mark.depth and not mark.is_name:
            if mark.word == "FORMAT":
                start, asked = mark.start, None
            elif before == "FORMAT":
                asked = mark
        before = mark.word
    if keyword not in _ROWS or start is None or asked is None or not _is_last(raw[asked.end : end]):
        return Statement(keyword, _text(raw[:end]), None)
    form = raw[asked.start : asked.end].decode()
    return Statement(keyword, _text(raw[:start] + raw[asked.end : end]), form)


def _is_last(rest: bytes) -> bool:
    """Whether what follows a format's name lets it be one: nothing, or settings. Else it is a column so called."""
    for token in _TOKEN.finditer(rest):
        if token.lastgroup != "gap":
            return token.group().upper() == b"SETTINGS"
    return True


def _after_format(raw: bytes, end: int) -> int:
    """Data begins after the blanks behind the format's name, and one line break at most."""
    while raw[end : end + 1] in {b" ", b"\t"}:
        end += 1
    if raw[end : end + 2] == b"\r\n":
        return end + 2
    return end + 1 if raw[end : end + 1] == b"\n" else end


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise refuse(Code.SYNTAX_ERROR, f"Syntax error: the statement is not UTF-8 at byte {error.start}") from error
