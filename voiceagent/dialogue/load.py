"""From a flow's TOML to a checked Flow, or to every error in it at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from voiceagent.dialogue.check import check
from voiceagent.dialogue.flow import Flow, Script
from voiceagent.dialogue.reader import Errors, read

#: What every call can do when a flow asks for it, and the arguments it cannot do without.
CALL_TOOLS: Mapping[str, tuple[str, ...]] = {
    "hang_up": (),
    "transfer": ("target",),
    "take_message": (),
    "note": ("kind",),
}


class FlowErrors(Exception):  # noqa: N818 - it is all of them
    """A flow cannot be used. `lines` holds one line per error: file, key path, what is wrong, nearest valid name."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def load_flow(source: Path | str, tools: Mapping[str, tuple[str, ...]] = CALL_TOOLS) -> Flow:
    """The flow in the file `source` (a Path) or in the TOML text `source` (a str).

    `tools` are those the call knows, with the arguments each must be given. Raises FlowErrors.
    """
    name = str(source) if isinstance(source, Path) else "flow"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        raw = tomllib.loads(text)
    except OSError as error:
        raise FlowErrors([f"{name}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise FlowErrors([f"{name}: not UTF-8 text: {error.reason} at byte {error.start}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise FlowErrors([f"{name}: not TOML: {error}"]) from None
    errors: Errors = []
    script = read(Script, raw, "", errors)
    broken = [place for place, _ in errors]
    errors += [error for error in check(script, tools) if not any(_within(error[0], place) for place in broken)]
    if errors:
        raise FlowErrors([f"{name}: {place}: {what}" for place, what in errors])
    return Flow.of(script)


def _within(place: str, other: str) -> bool:
    """Whether one of two places holds the other: what is wrong with a key's type also spoils what it should mean."""
    return f"{place}.".startswith(f"{other}.") or f"{other}.".startswith(f"{place}.")
