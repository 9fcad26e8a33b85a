"""A file of preference pairs in, its rows out: the JSONL that public reward benchmarks and training data share.

A line has `id, prompt, chosen, rejected` and, where there is one, `image` (a path below a root) or `video` (a folder of
frames, or a file, below it); more fields are let be. The responses may be answers to a question about a picture, or a
right and a wrong reasoning about a video (`contracts.reasoning`), whose frames the docket knows by digest.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from contracts.errors import BadInputError, first_reason
from contracts.records import Digest, Record

MOST_CHARS = 100_000
"""Of a prompt or a response."""

Text = Annotated[str, Field(max_length=MOST_CHARS)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1_000)]


def _folder_of_picture(pair: dict[str, Any]) -> str:
    """The first folder of the picture's path, which is how the public benchmarks name kinds; else nothing."""
    path = pair.get("image") or pair.get("video") or ""
    folder, slash, _ = path.partition("/")
    return folder if slash else ""


class PreferencePair(Record):
    """Two responses to one prompt, of which `chosen` is the better one.

    `id` is shared by pairs about the same prompt. `kind` is what figures are told apart by: by default the first
    folder of the picture's path (`mcq/1.png` is of kind `mcq`), empty where there is none.
    """

    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(min_length=1, max_length=500)]
    prompt: Text
    chosen: Text
    rejected: Text
    image: RelativePath | None = None
    video: RelativePath | None = None
    frames_digest: Digest | None = None
    kind: Annotated[str, Field(max_length=100)] = Field(default_factory=_folder_of_picture)


class PreferenceRow(NamedTuple):
    """A pair, the number of its line, counted from 1, and the line as it stands in the file."""

    number: int
    line: str
    pair: PreferencePair

    def with_rewards(self, chosen: float, rejected: float) -> str:
        """The line with `"rewards": [chosen, rejected]` added and nothing else changed."""
        return f'{self.line.rstrip()[:-1]}, "rewards": {json.dumps([chosen, rejected])}}}'


def read_preferences(path: Path) -> Iterator[PreferenceRow]:
    """Yield a file's rows in order, empty lines passed over; raises `BadInputError` naming file, line and rule."""
    try:
        lines = path.open(encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}, must be a file of preference pairs, JSONL") from error
    with lines:
        try:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield PreferenceRow(number, line.strip(), PreferencePair.model_validate_json(line))
                except ValidationError as error:
                    raise BadInputError(f"{path}:{number}: {first_reason(error)}") from error
        except UnicodeDecodeError as error:
            raise BadInputError(f"{path}: {error}, must be UTF-8") from error
