"""The shapes of what callers say and want."""

from collections.abc import Mapping

from attrs import field, frozen

from voiceagent.providers.embedded import EmbeddedOptions


@frozen
class Voice:
    """A synthetic caller. See EmbeddedOptions for the units."""

    name: str
    pitch: int
    speed: int

    @property
    def options(self) -> EmbeddedOptions:
        return EmbeddedOptions(voice=self.name, pitch=self.pitch, speed=self.speed)

    @property
    def patient(self) -> EmbeddedOptions:
        """The same caller saying something once more: a little slower and higher."""
        return EmbeddedOptions(voice=self.name, pitch=min(99, self.pitch + 5), speed=round(self.speed * 0.88))


@frozen
class Answer:
    """What a caller says, first and when asked again, to words that match `when` (a regular expression)."""

    when: str
    first: str
    again: str = ""


@frozen
class Done:
    """A tool the agent must have used, with these arguments among others."""

    tool: str
    arguments: Mapping[str, str] = field(factory=dict)


@frozen
class Told:
    """Words the agent must have said."""

    words: str


@frozen
class Errand:
    """A call: what the caller answers (the first that matches), and what must come of it, in order."""

    name: str
    answers: tuple[Answer, ...]
    goals: tuple[Done | Told, ...]


@frozen
class Material:
    voices: tuple[Voice, ...]
    errands: tuple[Errand, ...]
    out_of_domain: tuple[str, ...]
    #: What is said in no phrase of the flow, and a phrase that means the same.
    paraphrases: tuple[tuple[str, str], ...]
