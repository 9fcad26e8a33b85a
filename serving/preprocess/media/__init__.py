"""Media address -> regular file inside the roots -> a few frames sampled in time, in limited worker processes."""

from serving.preprocess.media.addresses import resolve_media
from serving.preprocess.media.container import DecodeLimits
from serving.preprocess.media.frames import Frames, choose_frames, decode_frames
from serving.preprocess.media.pool import DecodePool, decode_all
from serving.preprocess.media.process import Answer, PoolSettings
from serving.preprocess.media.refusals import MediaError, MediaReason

__all__ = [
    "Answer",
    "DecodeLimits",
    "DecodePool",
    "Frames",
    "MediaError",
    "MediaReason",
    "PoolSettings",
    "choose_frames",
    "decode_all",
    "decode_frames",
    "resolve_media",
]
