"""An environment and the name of a secret in, its value out: from the variable, or from the file that NAME_FILE names.

Files are how container platforms hand secrets over, and a file is in no process list, no dump of an environment and
no shell history. Every setting that may carry a password, token or key is read through here.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import BadInputError

MOST_BYTES = 64 << 10
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,6}(?![^/?#]))?(?![^/?#:])(/[\w./-]*)?")


def secret_in(environment: Mapping[str, str], name: str) -> str | None:
    """The value of `name`, or of the file of `name`_FILE without white space around it; None where neither is given.

    Raises `BadInputError`, which names variables and files and never shows a value.
    """
    given, file = environment.get(name), environment.get(f"{name}_FILE")
    if not file:
        return given or None
    if given:
        raise BadInputError(f"{name} and {name}_FILE are both given, must be one of them")
    try:
        with Path(file).open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
        value = text.decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise BadInputError(f"{name}_FILE == {file!r}: {reason}") from None
    if len(text) > MOST_BYTES:
        raise BadInputError(f"{name}_FILE == {file!r}: holds more than {MOST_BYTES} bytes, must hold a secret alone")
    if not value:
        raise BadInputError(f"{name}_FILE == {file!r}: is empty, must hold a secret")
    return value


def shown_address(address: str) -> str:
    """`scheme://user:password@host:port/path` as far as it can be shown, whatever is wrong with it.

    Whatever stands before the last `@` may be a password, and so may what follows a host that is none.
    """
    scheme, separator, rest = address.strip().rpartition("://")
    _, at, place = rest.rpartition("@")
    host = _HOST.match(place)
    if not at and ":" not in address:
        return address.strip()
    if "@" in scheme or ":" in scheme or not (at or (separator and host)):
        return "***"
    return f"{scheme}{separator}{'***@' if at else ''}{host.group() if host else ''}"
