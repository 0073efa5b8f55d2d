"""A real Asterisk without root: fetched from Debian packages, booted on loopback, several side by side.

`fetch` once, then `open_asterisk` (or `start_asterisk`, without Trio) for as long as it is needed.
"""

from pathlib import Path

import platformdirs

from voiceagent.lab.asterisk.conf import Options, read_options
from voiceagent.lab.asterisk.recipe import asterisk_recipe
from voiceagent.lab.asterisk.running import RunningAsterisk, open_asterisk, start_asterisk
from voiceagent.lab.debian import LabError, Progress, fetch_tree

__all__ = [
    "LabError",
    "Options",
    "RunningAsterisk",
    "default_cache",
    "fetch",
    "open_asterisk",
    "read_options",
    "start_asterisk",
]


def default_cache() -> Path:
    """Below the user's cache folder."""
    return platformdirs.user_cache_path("voiceagent") / "lab"


def fetch(cache: Path, progress: Progress) -> Path:
    """The tree of Asterisk below `cache`; fetched if it is not there yet (20 MB, 35 MB on disk).

    Blocks for as long as it takes, deadlines included. Raises LabError.
    """
    return fetch_tree(asterisk_recipe(), cache, progress)
