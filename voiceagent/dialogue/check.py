"""What a script must hold beyond its types: every name known, every node reachable, every slot fillable."""

from collections.abc import Mapping

from voiceagent.dialogue.flow import Script
from voiceagent.dialogue.reader import Errors


def check(script: Script, tools: Mapping[str, tuple[str, ...]]) -> Errors:
    """Every error of meaning in `script`, in the order of the file."""
    return []
