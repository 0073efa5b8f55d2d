"""Speech without keys or network: espeak-ng and pocketsphinx, each in processes of its own.

What is named here is imported on first use: a worker, which starts in this package too, needs neither Trio nor clients.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from voiceagent.providers.embedded.listening import SphinxSpeechToText, open_speech_to_text
    from voiceagent.providers.embedded.options import EmbeddedOptions
    from voiceagent.providers.embedded.speaking import EspeakTextToSpeech, open_text_to_speech

__all__ = [
    "EmbeddedOptions",
    "EspeakTextToSpeech",
    "SphinxSpeechToText",
    "open_speech_to_text",
    "open_text_to_speech",
]

_HOMES: Final = {
    "EmbeddedOptions": "options",
    "EspeakTextToSpeech": "speaking",
    "SphinxSpeechToText": "listening",
    "open_speech_to_text": "listening",
    "open_text_to_speech": "speaking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
