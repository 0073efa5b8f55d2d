"""Telling the agent's speech from its silence, by level. Pure: `now` is an argument, in seconds on any one clock."""

from typing import Final

from voiceagent.audio.pcm import level_dbfs
from voiceagent.lab.timeline import AgentBegan, AgentFinished

#: Louder than this is sound. Telephone speech is 20 to 40 dB above it, µ-law idle noise well below.
AUDIBLE_DBFS: Final = -50.0
#: Shorter pauses lie within speech; the silence between being interrupted and answering is longer.
PAUSE_S: Final = 0.4
#: Less sound than this is a click, not speech.
CLICK_S: Final = 0.06


def is_audible(data: bytes) -> bool:
    """Whether a frame of s16le holds sound."""
    return bool(data.strip(b"\0")) and level_dbfs(data) > AUDIBLE_DBFS  # most frames are digital silence


class AgentEar:
    """Follows one call's agent. Feed every frame to `hear`, and call `check` now and then, as frames may stop coming.

    `began`: start of the latest stretch of speech; `last_sound`: end of its latest audible frame. None: not yet.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self.last_sound: float | None = None
        self._speaking = False
        self._candidate: float | None = None  # start of sound too short to be speech yet
        self._candidate_end = 0.0
        self._candidate_s = 0.0

    def hear(self, data: bytes, seconds: float, now: float) -> tuple[AgentBegan | AgentFinished, ...]:
        """A frame of `seconds` that arrived at `now`; what it changes, in order."""
        changes = self.check(now)
        if not is_audible(data):
            return changes
        if self._speaking:
            self.last_sound = now + seconds
            return changes
        if self._candidate is None:
            self._candidate, self._candidate_s = now, 0.0
        self._candidate_s += seconds
        self._candidate_end = now + seconds
        if self._candidate_s < CLICK_S:
            return changes
        self.began, self.last_sound = self._candidate, self._candidate_end
        self._speaking, self._candidate = True, None
        return (*changes, AgentBegan(self.began))

    def check(self, now: float) -> tuple[AgentBegan | AgentFinished, ...]:
        """What the passing of time changes."""
        if self._candidate is not None and now - self._candidate_end >= PAUSE_S:
            self._candidate = None
        if self._speaking and self.last_sound is not None and now - self.last_sound >= PAUSE_S:
            self._speaking = False
            return (AgentFinished(self.last_sound),)
        return ()

    def close(self) -> tuple[AgentFinished, ...]:
        """The call is over: whatever was being said has ended."""
        if not self._speaking or self.last_sound is None:
            return ()
        self._speaking = False
        return (AgentFinished(self.last_sound),)

    def answers(self, since: float) -> bool:
        """Whether the agent has said something after `since`, the end of what the caller did last.

        Speech from before counts when it goes on well beyond: then it was not stopped, and is all the answer there is.
        """
        if self.began is None or self.last_sound is None:
            return False
        return self.began >= since or self.last_sound >= since + PAUSE_S

    def has_answered(self, since: float, quiet: float, now: float) -> bool:
        """Whether the agent has said something after `since` and been silent for `quiet` seconds now."""
        return self.answers(since) and self.last_sound is not None and now - max(self.last_sound, since) >= quiet
