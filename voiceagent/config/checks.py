"""What no single key can say: whether the settings fit each other."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from voiceagent.config.places import built_in_flows, flow_path
from voiceagent.config.problems import KeyPath, Problem, nearest
from voiceagent.config.settings import AgentConfig, Config, parse_address

#: `providers.NAME.type`: which classes of settings there are.
PROVIDER_TYPES = ("embedded",)


def check(config: Config) -> Iterator[Problem]:
    """Every problem that the settings have with one another."""
    for section, names in (("agents", config.agents), ("providers", config.providers)):
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                yield Problem((section, name), "a name of letters, digits, '-' and '_'", got=repr(name))
    if config.audiosocket.accept == "announced" and not config.ari.url:
        yield Problem(("audiosocket", "accept"), "'any', as only ARI (ari.url) announces calls")
    if config.ari.url and not config.ari.password:
        yield Problem(("ari", "password"), "the password of this user in Asterisk's ari.conf")
    if config.ari.url and not config.audiosocket.listen:
        yield Problem(("audiosocket", "listen"), "HOST:PORT, where the audio of ARI calls comes in")
    if config.dialplan.listen and not config.ari.url:
        yield Problem(("dialplan", "listen"), "nothing, as without ARI (ari.url) audiosocket.listen takes these calls")
    if config.http.listen and not config.http.token and not _is_loopback(config.http.listen):
        yield Problem(("http", "token"), "a token, as http.listen is no loopback address")
    yield from _check_name(("audiosocket", "agent"), config.audiosocket.agent, "agents", tuple(config.agents))
    for name, provider in config.providers.items():
        if provider.type not in PROVIDER_TYPES:
            what = f"one of the provider types of this version ({', '.join(PROVIDER_TYPES)})"
            yield Problem(("providers", name, "type"), what, nearest(provider.type, PROVIDER_TYPES))
    for name, agent in config.agents.items():
        if agent.kind == "conversation":
            yield from _check_conversation(name, agent, config)


def _check_conversation(name: str, agent: AgentConfig, config: Config) -> Iterator[Problem]:
    yield from _check_name(("agents", name, "stt"), agent.stt, "providers", tuple(config.providers))
    yield from _check_name(("agents", name, "tts"), agent.tts, "providers", tuple(config.providers))
    if agent.language.partition("-")[0].lower() != "en" and agent.stt in config.providers:
        yield Problem(("agents", name, "language"), "'en', as the embedded recogniser knows no other language")
    if agent.llm:
        what = "no language model, as no provider type offers one in this version"
        yield Problem(("agents", name, "llm"), what)
    if agent.flow:
        if not flow_path(agent.flow, config.directory).is_file():
            known = built_in_flows()
            what = f"a built-in flow ({', '.join(known)}) or a file, relative to {config.directory}"
            yield Problem(("agents", name, "flow"), what, nearest(agent.flow, known))
    elif not agent.llm:
        yield Problem(("agents", name, "flow"), "the flow of this conversation (nothing else can lead it)")


def _check_name(path: KeyPath, name: str, section: str, known: tuple[str, ...]) -> Iterator[Problem]:
    if name not in known:
        yield Problem(path, f"one of the {section} ({', '.join(known)})", nearest(name, known))


def _is_loopback(address: str) -> bool:
    host, _ = parse_address(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"  # any other name may mean anything
