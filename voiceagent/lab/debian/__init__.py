"""Programs from Debian packages in a folder of their own: no root, nothing installed, the host's apt left alone.

The packages come from the mirror that the host's own apt uses, their signatures are checked with the host's keyring,
and they are unpacked, not installed. What is kept of them runs with the C library that came along, as that of the host
may be older.
"""

from voiceagent.lab.debian.commands import LabError, Progress, output_of
from voiceagent.lab.debian.tree import Recipe, fetch_tree, program

__all__ = ["LabError", "Progress", "Recipe", "fetch_tree", "output_of", "program"]
