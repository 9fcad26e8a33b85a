"""A text file, a type a line, its levels joined by `~`, in; the taxonomy of those types and all above them out.

Blank lines and lines that begin with `#` say nothing. `SEEDS` is such a file for general use.
"""

from pathlib import Path

from contracts.errors import BadInputError, printable
from contracts.growth import MOST_CHARS, MOST_LEVELS, SEPARATOR, spelling_of
from policy.growth.taxonomy.hierarchy import Spelled, Taxonomy, spelled_path, taxonomy_of, told

SEEDS = Path(__file__).with_name("seeds.txt")
"""Visual tasks, two levels: 115 types below their roots."""


def read_seeds(path: Path) -> Taxonomy:
    """Read a seed file; raises `BadInputError` naming file, line, value and rule."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    told_at = dict[Spelled, int]()
    named = dict[Spelled, tuple[str, int]]()
    paths = list[tuple[str, ...]]()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            levels = _levels_of(line)
            _check_told_once(levels, told_at, number)
            _check_spelling(levels, named, number)
        except BadInputError as error:
            raise BadInputError(f"{path}:{number}: {error}") from None
        paths.append(levels)
    if not paths:
        raise BadInputError(f"{path}: holds no type, must hold one a line, its levels joined by {SEPARATOR!r}")
    return taxonomy_of(paths)


def _levels_of(line: str) -> tuple[str, ...]:
    levels = tuple(" ".join(level.split()) for level in line.split(SEPARATOR))
    if len(levels) > MOST_LEVELS:
        raise BadInputError(f"type has {len(levels)} levels, must have at most {MOST_LEVELS}")
    for level in levels:
        if len(level) > MOST_CHARS:
            raise BadInputError(f"level has {len(level)} characters, must have at most {MOST_CHARS}")
        if not level.isprintable() or not spelling_of(level):
            shown = printable(level, at_most=80)
            raise BadInputError(f"level == {shown!r}, must be printable and have a letter or a digit")
    return levels


def _check_told_once(levels: tuple[str, ...], told_at: dict[Spelled, int], number: int) -> None:
    if (first := told_at.setdefault(spelled_path(levels), number)) != number:
        raise BadInputError(f"type == {told(levels)}, must be told once, it is on line {first}")


def _check_spelling(levels: tuple[str, ...], named: dict[Spelled, tuple[str, int]], number: int) -> None:
    """A level that many types share is written in one way."""
    for n, level in enumerate(levels, 1):
        name, first = named.setdefault(spelled_path(levels[:n]), (level, number))
        if name != level:
            raise BadInputError(f"level == {level!r}, must be {name!r} as on line {first}")
