"""The settings of an embedded speech provider."""

from attrs import field, frozen
from attrs.validators import ge, le, matches_re


@frozen
class EmbeddedOptions:
    """espeak-ng and pocketsphinx on this machine: no keys, no network.

    voice       espeak-ng's name: language, region, variant (`en-us`, `en-gb-scotland+f3`, `es-419`)
    pitch       0 to 99
    speed       words per minute, 80 to 450
    recognisers worker processes that listen; 0: one per core. Each core can follow about six callers at once.
    """

    type: str = "embedded"
    voice: str = field(default="en-us", validator=matches_re(r"[A-Za-z0-9_+ -]{1,40}"))
    pitch: int = field(default=50, validator=[ge(0), le(99)])
    speed: int = field(default=165, validator=[ge(80), le(450)])
    recognisers: int = field(default=0, validator=[ge(0), le(64)])
