"""Why a video's media is refused: one reason code for each thing that can be wrong with the *event's* file.

What is wrong with the media *store* (an unmounted root, a disk error) is not a refusal: it is a
`DependencyError`, and the video waits.
"""

from enum import StrEnum

from contracts.errors import BadInputError


class MediaReason(StrEnum):
    """What is wrong with a media address or the file behind it."""

    ADDRESS_REFUSED = "address_refused"
    SCHEME_REFUSED = "scheme_refused"
    OUTSIDE_ROOTS = "outside_roots"
    UNREACHABLE = "unreachable"
    NOT_A_FILE = "not_a_file"
    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_LONG = "too_long"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NO_VIDEO = "no_video"
    NO_FRAMES = "no_frames"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"


class MediaError(BadInputError):
    """An upload's media cannot be decoded, and trying again would not help: dead-letter it with `reason`."""

    def __init__(self, reason: MediaReason, place: str, detail: str) -> None:
        super().__init__(f"media {place!r}: {detail} ({reason.value})")
        self.reason = reason
        self.place = place
        self.detail = detail
