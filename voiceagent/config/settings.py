"""What can be configured, as frozen values that hold only what is allowed.

Each class is one table of the TOML file and each attribute one key. A validator raises ValueError saying `'key' must be
WHAT`; the loader turns that into a line for the reader of the file. All times are seconds.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeAlias

from attrs import Attribute, field, frozen, validators

from voiceagent.providers.embedded import EmbeddedOptions

ProviderOptions: TypeAlias = EmbeddedOptions

_Validator: TypeAlias = "Callable[[Any, Attribute[Any], Any], None]"


def _between(low: float, high: float) -> _Validator:
    def check(_instance: object, attribute: "Attribute[Any]", value: float) -> None:
        if not low <= value <= high:
            raise ValueError(f"'{attribute.name}' must be between {low:g} and {high:g}")

    return check


def _matching(pattern: str, what: str) -> _Validator:
    def check(_instance: object, attribute: "Attribute[Any]", value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"'{attribute.name}' must be {what}")

    return check


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` as host and port; an IPv6 host stands in brackets: `[::1]:9092`. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s:\[\]]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("not HOST:PORT")
    return match[1] or match[2], int(match[3])


def _an_address(_instance: object, attribute: "Attribute[Any]", value: str) -> None:
    try:
        parse_address(value)
    except ValueError:
        raise ValueError(f"'{attribute.name}' must be HOST:PORT, such as '127.0.0.1:9092' or '[::1]:9092'") from None


def _an_address_or_none(instance: object, attribute: "Attribute[Any]", value: str) -> None:
    """An embedded service may do without a port."""
    if value:
        _an_address(instance, attribute, value)


def _an_address_to_call(instance: object, attribute: "Attribute[Any]", value: str) -> None:
    """Others shall connect here, so port 0 names nothing."""
    if value:
        _an_address(instance, attribute, value)
        if parse_address(value)[1] == 0:
            raise ValueError(f"'{attribute.name}' must be HOST:PORT with a port others can connect to")


def _networks(_instance: object, attribute: "Attribute[Any]", value: tuple[str, ...]) -> None:
    for network in value:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"'{attribute.name}' must be networks such as '10.0.0.0/8' or '::1/128'") from None


@frozen
class ServiceConfig:
    """`[service]`. An empty `state_dir` leaves the choice to `state_path`."""

    instance: str = field(
        default="voiceagent", validator=_matching(r"[\w.-]{1,64}", "1 to 64 letters, digits, '.', '-' or '_'")
    )
    max_calls: int = field(default=200, validator=_between(1, 10_000))
    drain_s: float = field(default=30.0, validator=_between(0, 86_400))
    state_dir: str = ""


@frozen
class AudioSocketConfig:
    """`[audiosocket]`: where calls come in and from whom. An empty `advertise` means what `listen` became."""

    listen: str = field(default="127.0.0.1:9092", validator=_an_address_or_none)
    advertise: str = field(default="", validator=_an_address_to_call)
    accept: str = field(default="any", validator=validators.in_(("any", "announced")))
    agent: str = "reception"
    idle_s: float = field(default=60.0, validator=_between(1, 86_400))
    max_pending: int = field(default=64, validator=_between(1, 10_000))
    allow: tuple[str, ...] = field(default=("127.0.0.0/8", "::1/128"), validator=_networks)


@frozen
class AriConfig:
    """`[ari]`: call control. An empty `url` is none. `variables` of the caller's channel are read for the dialogue."""

    url: str = field(
        default="",
        validator=_matching(r"(https?://[^\s/?#@]+/\S*[^\s/])?", "a URL such as 'http://127.0.0.1:8088/ari'"),
    )
    user: str = "voiceagent"
    password: str = field(default="", repr=False)
    app: str = field(
        default="voiceagent", validator=_matching(r"[\w.-]{1,64}", "1 to 64 letters, digits, '.', '-' or '_'")
    )
    at_end: str = field(default="continue", validator=validators.in_(("continue", "hang up")))
    ringback: bool = False
    variables: tuple[str, ...] = ()


@frozen
class MediaConfig:
    """`[media]`: what Asterisk sends and takes on the media legs of ARI calls."""

    format: str = field(default="slin", validator=validators.in_(("slin", "slin16")))


@frozen
class DialplanConfig:
    """`[dialplan]`: where plain `AudioSocket()` calls come in beside those of ARI. An empty `listen` is nowhere."""

    listen: str = field(default="", validator=_an_address_or_none)


@frozen
class HttpConfig:
    """`[http]`: health and metrics. An empty `listen` is nowhere; beyond loopback only with a `token`."""

    listen: str = field(default="", validator=_an_address_or_none)
    token: str = field(default="", repr=False)


@frozen
class AgentConfig:
    """`[agents.NAME]`: who answers. `stt`, `tts` and `llm` name providers; an empty name is none.

    `flow` alone is a scripted dialogue, `llm` alone a model's, both a flow that hands open questions to the model.
    """

    kind: str = field(default="conversation", validator=validators.in_(("conversation", "echo")))
    language: str = field(
        default="en",
        validator=_matching(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a language tag such as 'en' or 'en-GB'"),
    )
    stt: str = ""
    tts: str = ""
    flow: str = ""
    llm: str = ""
    greeting: str = ""
    end_silence_s: float = field(default=0.6, validator=_between(0.1, 10))
    barge_in_s: float = field(default=0.2, validator=_between(0.02, 10))
    no_input_s: float = field(default=7.0, validator=_between(0.5, 600))
    max_call_s: float = field(default=900.0, validator=_between(1, 86_400))


@frozen
class Config:
    """Everything configured. `directory` is where the file lies: relative paths in it start there."""

    service: ServiceConfig = ServiceConfig()
    audiosocket: AudioSocketConfig = AudioSocketConfig()
    ari: AriConfig = AriConfig()
    media: MediaConfig = MediaConfig()
    dialplan: DialplanConfig = DialplanConfig()
    http: HttpConfig = HttpConfig()
    agents: Mapping[str, AgentConfig] = field(factory=dict)
    providers: Mapping[str, ProviderOptions] = field(factory=dict)
    directory: Path = field(factory=Path.cwd)
