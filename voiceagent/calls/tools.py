"""What a dialogue can ask a call to do, without a PBX to control.

`hang_up` and `transfer` end the call; a transfer ends the AudioSocket leg with 0x00, so that the dialplan goes on. A
message is recorded, a note is written down; both under the service's state directory.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.wav import write_wav
from voiceagent.calls.call import Call
from voiceagent.journal import Journal, ToolFinished
from voiceagent.ports import ToolCall, ToolReturned

#: The longest message: 4 MB in memory at 16 kHz while it is spoken.
_MESSAGE_S: Final = 120.0
#: For writing something down, whether the caller is still there or not.
_WRITE_S: Final = 1.0


class ToolError(Exception):
    """The tool could not do it; the message is for the log, the dialogue says something of its own."""


async def write_in_thread(write: Callable[[], None]) -> None:
    """Do `write` in a thread, also when the call is being cancelled. Raises ToolError when the disk takes too long."""
    with trio.move_on_after(_WRITE_S, shield=True):
        await trio.to_thread.run_sync(write, abandon_on_cancel=True)
        return
    raise ToolError(f"the disk took longer than {_WRITE_S:g} s")


@define
class Tools:
    """Runs tools for calls. Files are written under `directory`, which is made when needed.

    `write_down` is how: in a worker thread, but on a virtual clock, which cannot see threads, in some other way.
    """

    directory: Path
    journal: Journal
    write_down: Callable[[Callable[[], None]], Awaitable[None]] = write_in_thread

    async def run(self, call: Call, request: ToolCall) -> ToolReturned:
        """Do what was asked and say in the journal what came of it. Never raises but for cancellation."""
        return await self._report(call, request, self._do(call, request))

    async def _report(self, call: Call, request: ToolCall, doing: Awaitable[str]) -> ToolReturned:
        try:
            result, ok = await doing, True
        except (ToolError, OSError) as error:
            result, ok = str(error), False
        now = trio.current_time()
        self.journal(ToolFinished(now, str(call.uuid), request.name, request.arguments, ok, result))
        return ToolReturned(request.id, ok, result)

    async def _do(self, call: Call, request: ToolCall) -> str:
        match request.name:
            case "hang_up":
                call.end("agent hung up")
                return ""
            case "transfer":
                call.end("transferred", request.arguments.get("target", ""))
                return ""
            case "note":
                return await self._note(call, request.arguments)
            case "take_message":
                return await self._take_message(call, request)
            case unknown:
                raise ToolError(f"there is no tool {unknown!r}")

    async def _note(self, call: Call, arguments: Mapping[str, str]) -> str:
        """Append one line to notes.jsonl."""
        entry = {"at": _now().isoformat(), "call": str(call.uuid), "peer": call.peer, **arguments}
        path = self.directory / "notes.jsonl"
        await self.write_down(partial(_append, path, json.dumps(entry, ensure_ascii=False) + "\n"))
        return str(path)

    async def _take_message(self, call: Call, request: ToolCall) -> str:
        """Record the caller to messages/TIME-CALL.wav. One who hangs up has left his message all the same."""
        if call.hearing is None:
            raise ToolError("this agent does not listen")
        with call.hearing.recording(_MESSAGE_S) as recording:
            try:
                await recording.finished()
            except trio.Cancelled:
                await self._report(call, request, self._save(call, recording.audio))  # noqa: ASYNC102 - writing is shielded, for 1 s
                raise
        return await self._save(call, recording.audio)

    async def _save(self, call: Call, message: Pcm) -> str:
        if not message.data:
            raise ToolError("the caller left no message")
        path = self.directory / "messages" / f"{_now():%Y%m%dT%H%M%SZ}-{call.uuid}.wav"
        await self.write_down(partial(_write, path, write_wav(message)))
        return str(path)


def _now() -> datetime:
    return datetime.now(UTC)


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def _write(path: Path, content: bytes) -> None:
    """The file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
