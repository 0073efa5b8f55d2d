"""Speech without keys or network: espeak-ng and pocketsphinx, each in processes of its own."""

from voiceagent.providers.embedded.listening import open_speech_to_text
from voiceagent.providers.embedded.options import EmbeddedOptions
from voiceagent.providers.embedded.speaking import open_text_to_speech

__all__ = ["EmbeddedOptions", "open_speech_to_text", "open_text_to_speech"]
