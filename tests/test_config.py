"""The configuration: defaults, layers, and every error told at once."""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.config import (
    AudioSocketConfig,
    Config,
    ConfigErrors,
    ServiceConfig,
    flow_path,
    load_config,
    parse_address,
    state_path,
)
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.config.problems import key_text
from voiceagent.config.sources import read_override, read_table
from voiceagent.providers.embedded import EmbeddedOptions

#: What a configuration may have at its top.
TABLES = "service, audiosocket, ari, media, dialplan, http, agents, providers"


@pytest.fixture
def load(tmp_path: Path) -> "Load":
    return Load(tmp_path / "config.toml")


class Load:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, text: str = "", *overrides: str, **environ: str) -> Config:
        self.file.write_text(text, encoding="utf-8")
        return load_config(self.file, overrides, environ)

    def errors(self, text: str = "", *overrides: str, **environ: str) -> tuple[str, ...]:
        """The error lines, without the name of the file where it stands first."""
        with pytest.raises(ConfigErrors) as caught:
            self(text, *overrides, **environ)
        return tuple(line.removeprefix(f"{self.file}: ") for line in caught.value.lines)


# What holds when nothing is said


def test_an_empty_file_gives_the_built_in_agents_and_provider(load: Load) -> None:
    config = load("")
    assert set(config.agents) == {"reception", "echo"}
    assert config.agents["echo"].kind == "echo"
    assert config.agents["reception"].stt == config.agents["reception"].tts == "embedded"
    assert config.providers == {"embedded": EmbeddedOptions()}


def test_the_commented_default_says_every_key_with_the_default_of_the_code() -> None:
    table = read_table(DEFAULT_FILE)
    classes = {"service": ServiceConfig, "audiosocket": AudioSocketConfig}
    for section, cls in classes.items():
        assert set(table[section]) == {attribute.name for attribute in attrs.fields(cls)}
    config = load_config(DEFAULT_FILE, [], {})
    assert config.service == ServiceConfig()
    assert config.audiosocket == AudioSocketConfig()
    reception = attrs.fields_dict(type(config.agents["reception"]))
    assert set(table["agents"]["reception"]) == set(reception)
    for name in ("language", "llm", "greeting", "end_silence_s", "barge_in_s", "no_input_s", "max_call_s"):
        assert getattr(config.agents["reception"], name) == reception[name].default
    assert set(table["providers"]["embedded"]) == set(attrs.fields_dict(EmbeddedOptions))


def test_the_config_toml_at_the_root_is_the_packaged_one() -> None:
    root = Path(__file__).parent.parent / "config.toml"
    assert root.resolve() == DEFAULT_FILE


def test_the_working_directory_s_file_is_found_without_being_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, [], {}) == load_config(DEFAULT_FILE, [], {})
    assert load_config(None, [], {}).directory == tmp_path
    (tmp_path / "config.toml").write_text("service.instance = 'here'")
    assert load_config(None, [], {}).service.instance == "here"
    assert load_config(None, [], {}).directory == tmp_path


# Layers


def test_a_file_changes_only_what_it_says(load: Load) -> None:
    config = load("[agents.reception]\ngreeting = 'Good day.'\n[agents.desk]\nkind = 'echo'")
    assert config.agents["reception"].greeting == "Good day."
    assert config.agents["reception"].flow == "reception"
    assert set(config.agents) == {"reception", "echo", "desk"}


def test_an_override_beats_the_file_and_the_last_override_the_first(load: Load) -> None:
    config = load("service.max_calls = 3", "service.max_calls=4", "service.max_calls = 5")
    assert config.service.max_calls == 5


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a.b=5", ("a", "b"), 5),
        ("a.b= 1.5 ", ("a", "b"), 1.5),
        ("a=true", ("a",), True),
        ("a=[1, 2]", ("a",), [1, 2]),
        ("a={x = 1}", ("a",), {"x": 1}),
        ("a='5'", ("a",), "5"),
        ("a=127.0.0.1:0", ("a",), "127.0.0.1:0"),
        ("a=[::1]:0", ("a",), "[::1]:0"),
        ("a=x=y", ("a",), "x=y"),
        ("a=", ("a",), ""),
        ('agents."front desk".x=1', ("agents", "front desk", "x"), 1),
        ("a=1\nb=2", ("a",), "1\nb=2"),
        ("a=" + "[" * 5000, ("a",), "[" * 5000),
    ],
)
def test_an_override_is_toml_where_it_can_be_and_text_otherwise(
    text: str, path: tuple[str, ...], value: object
) -> None:
    assert read_override(text) == (path, value)


@pytest.mark.parametrize("text", ["", "service", "=5", "a..b=1", "[a]=1", "#=1", "a\nb=1", "a b=1"])
def test_an_override_without_a_key_is_an_error(load: Load, text: str) -> None:
    assert load.errors("", text) == (f"--set {text.strip()}: expected KEY=VALUE with a dotted key",)


def test_an_override_below_a_value_is_an_error(load: Load) -> None:
    assert load.errors("", "service.max_calls.x=1") == (
        "--set service.max_calls.x: expected service.max_calls to be a table, got a value",
    )


@given(st.text())
def test_any_override_text_is_read_or_refused(text: str) -> None:
    try:
        path, _ = read_override(text)
    except ConfigErrors:
        return
    assert path


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="=\x7f")), min_size=1, max_size=3))
def test_a_key_is_written_so_that_toml_reads_it_again(parts: list[str]) -> None:
    assert read_override(f"{key_text(tuple(parts))}=1") == (tuple(parts), 1)


# The environment


def test_texts_are_filled_from_the_environment(load: Load) -> None:
    config = load("service.instance = '${HOST}-${N}'\nagents.reception.greeting = '$${HOST} $5'", HOST="a", N="2")
    assert config.service.instance == "a-2"
    assert config.agents["reception"].greeting == "${HOST} $5"


def test_overrides_and_lists_are_filled_too(load: Load) -> None:
    assert load("", "audiosocket.allow=['${NET}']", NET="10.0.0.0/8").audiosocket.allow == ("10.0.0.0/8",)


def test_what_the_environment_holds_is_not_expanded_again(load: Load) -> None:
    assert load("agents.reception.greeting = '${A}'", A="${B}").agents["reception"].greeting == "${B}"


def test_an_undefined_variable_is_one_error_and_not_two(load: Load) -> None:
    assert load.errors("audiosocket.listen = '${WHERE}'") == (
        "audiosocket.listen: expected the environment variable WHERE to be set, got '${WHERE}'",
    )


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${A B}"])
def test_half_a_reference_is_an_error(load: Load, text: str) -> None:
    assert load.errors(f"agents.reception.greeting = 'x {text}'", A="1") == (
        f"agents.reception.greeting: expected ${{NAME}} with the name of an environment variable, got 'x {text}'",
    )


def test_an_error_never_shows_what_the_environment_or_a_secret_key_holds(load: Load) -> None:
    errors = load.errors(
        """
        [service]
        instance = "${TOKEN} !"
        [audiosocket]
        agent = "${TOKEN}"
        allow = ["${TOKEN}"]
        listen = "${TOKEN}"
        [providers.cloud]
        type = "${TOKEN}"
        voice = "${TOKEN};"
        api_key = "hush"
        """,
        "providers.other.password=hush",
        TOKEN="hush",  # noqa: S106 - no secret but one in a test
    )
    assert len(errors) == 8
    assert "hush" not in "\n".join(errors)


# Errors


def test_every_error_is_told_at_once_and_in_one_line(load: Load) -> None:
    errors = load.errors(
        """
        colour = "red"
        [service]
        instance = 5
        max_calls = 0
        max_cals = 3
        [audiosocket]
        listen = "localhost"
        agent = "recepton"
        allow = ["10.0.0.1/8", 5, "::1/128"]
        [agents.desk]
        kind = "ecco"
        """,
        "service.drain_s=soon",
    )
    assert set(errors) == {
        f"colour: expected one of the keys {TABLES}, got an unknown key",
        "service.instance: expected a text in quotes, got 5",
        "service.max_calls: expected between 1 and 10000, got 0",
        (
            "service.max_cals: expected one of the keys instance, max_calls, drain_s, state_dir, "
            "got an unknown key; did you mean 'max_calls'?"
        ),
        "audiosocket.listen: expected HOST:PORT, such as '127.0.0.1:9092' or '[::1]:9092', got 'localhost'",
        (
            "audiosocket.agent: expected one of the agents (reception, echo, desk), got 'recepton'; "
            "did you mean 'reception'?"
        ),
        "audiosocket.allow[0]: expected networks such as '10.0.0.0/8' or '::1/128', got '10.0.0.1/8'",
        "audiosocket.allow[1]: expected a text in quotes, got 5",
        "agents.desk.kind: expected 'conversation' or 'echo', got 'ecco'; did you mean 'echo'?",
        "--set service.drain_s: expected a number, got 'soon'",
    }


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("service = 5", "service: expected a table, got 5"),
        ("agents = []", "agents: expected a table, got a list"),
        ("agents.desk = 'x'", "agents.desk: expected a table, got 'x'"),
        ("providers.embedded = 1", "providers.embedded: expected a table, got 1"),
        ("audiosocket.allow = '10.0.0.0/8'", "audiosocket.allow: expected a list, got '10.0.0.0/8'"),
        ("service.max_calls = 1.5", "service.max_calls: expected a whole number, got 1.5"),
        ("service.max_calls = true", "service.max_calls: expected a whole number, got true"),
        ("service.drain_s = 2026-01-01", "service.drain_s: expected a number, got a date or time"),
        ("service.drain_s = nan", "service.drain_s: expected between 0 and 86400, got nan"),
        ("service.drain_s = inf", "service.drain_s: expected between 0 and 86400, got inf"),
        ("service.instance = ''", "service.instance: expected 1 to 64 letters, digits, '.', '-' or '_', got ''"),
        (
            "audiosocket.advertise = '10.0.0.1:0'",
            "audiosocket.advertise: expected HOST:PORT with a port others can connect to, got '10.0.0.1:0'",
        ),
        (
            "audiosocket.accept = 'announced'",
            "audiosocket.accept: expected 'any', as only ARI (ari.url) announces calls, got 'announced'",
        ),
        ("agents.'a b'.kind = 'echo'", "agents.\"a b\": expected a name of letters, digits, '-' and '_', got 'a b'"),
        (
            "directory = '/tmp'",
            (f"directory: expected one of the keys {TABLES}, got an unknown key"),
        ),
        (
            "agents.reception.stt = 'embeded'",
            "agents.reception.stt: expected one of the providers (embedded), got 'embeded'; did you mean 'embedded'?",
        ),
        (
            "agents.reception.llm = 'gpt'",
            (
                "agents.reception.llm: expected no language model, as no provider type offers one in this version, "
                "got 'gpt'"
            ),
        ),
        (
            "agents.reception.language = 'es'",
            "agents.reception.language: expected 'en', as the embedded recogniser knows no other language, got 'es'",
        ),
        (
            "agents.reception.flow = ''",
            "agents.reception.flow: expected the flow of this conversation (nothing else can lead it), got ''",
        ),
        (
            "providers.cloud.type = 'embeded'",
            (
                "providers.cloud.type: expected one of the provider types of this version (embedded), got 'embeded'; "
                "did you mean 'embedded'?"
            ),
        ),
        ("providers.embedded.speed = 20", "providers.embedded.speed: expected >= 80, got 20"),
    ],
)
def test_one_error_is_told_with_its_place_and_nothing_else(load: Load, text: str, error: str) -> None:
    assert load.errors(text) == (error,)


def test_a_conversation_needs_ears_a_voice_and_something_to_say(load: Load) -> None:
    assert [line.split(",")[0] for line in load.errors("agents.desk.language = 'en'")] == [
        "agents.desk.stt: expected one of the providers (embedded)",
        "agents.desk.tts: expected one of the providers (embedded)",
        "agents.desk.flow: expected the flow of this conversation (nothing else can lead it)",
    ]


def test_an_agent_with_a_mistake_is_not_accused_of_what_follows_from_it(load: Load) -> None:
    assert load.errors("agents.line = {kind = 'Echo'}\naudiosocket.agent = 'line'") == (
        "agents.line.kind: expected 'conversation' or 'echo', got 'Echo'; did you mean 'echo'?",
    )


def test_an_override_is_named_as_the_culprit_also_for_what_lies_in_its_table(load: Load) -> None:
    assert load.errors("", "agents.desk={kind = 'echo', tss = 'x'}")[0].startswith(
        "--set agents.desk: agents.desk.tss: expected one of the keys kind, "
    )


def test_bad_toml_is_told_with_its_line_and_the_overrides_with_it(load: Load) -> None:
    assert load.errors("[service]\nmax_calls = \n", "nonsense") == (
        "line 2, column 13: expected valid TOML, got: Invalid value",
        "--set nonsense: expected KEY=VALUE with a dotted key",
    )


def test_bad_toml_never_shows_a_value(load: Load) -> None:
    assert "hush" not in "".join(load.errors("providers.cloud.api_key = hush"))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.toml"
    with pytest.raises(ConfigErrors) as caught:
        load_config(missing, [], {})
    assert caught.value.lines == (f"{missing}: expected a readable file, got: No such file or directory",)


def test_a_file_that_is_no_text_is_named(load: Load) -> None:
    load.file.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigErrors, match="expected UTF-8 text, got a byte that is not, at offset 5"):
        load_config(load.file, [], {})


def test_a_file_nested_beyond_reason_is_an_error(load: Load) -> None:
    assert load.errors("a = " + "[" * 100_000) == ("expected TOML, got tables or lists nested too deeply",)


# Places


def test_a_flow_is_built_in_by_its_bare_name_and_a_file_by_its_path(load: Load, tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text("")
    assert load("agents.reception.flow = 'shop.toml'").agents["reception"].flow == "shop.toml"
    assert flow_path("shop.toml", tmp_path) == tmp_path / "shop.toml"
    assert flow_path("reception", tmp_path).is_file()
    assert load.errors("agents.reception.flow = 'shops.toml'")[0].startswith(
        f"agents.reception.flow: expected a built-in flow (reception) or a file, relative to {tmp_path}, got"
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9092", ("127.0.0.1", 9092)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:0", ("::1", 0)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "9092", ":9092", "a:", "a:65536", "::1:9092", "[::1]", "a b:1", "a:-1", "a:1\n"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("configured", "environ", "path"),
    [
        ("/srv/va", {"STATE_DIRECTORY": "/var/lib/va"}, "/srv/va"),
        ("", {"STATE_DIRECTORY": "/var/lib/va:/var/lib/more"}, "/var/lib/va"),
    ],
)
def test_state_lies_where_it_is_configured_or_where_systemd_says(
    configured: str, environ: Mapping[str, str], path: str
) -> None:
    assert state_path(ServiceConfig(state_dir=configured), environ) == Path(path)


def test_state_lies_in_the_user_s_state_directory_otherwise() -> None:
    assert state_path(ServiceConfig(), {}).name == "voiceagent"
    assert os.sep in str(state_path(ServiceConfig(), {}))
