"""The configuration: TOML to frozen settings, with every error told at once.

A file is laid over the commented default (`voiceagent/config.toml`) key by key, and `--set` overrides over the file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve

from voiceagent.config.checks import check
from voiceagent.config.places import DEFAULT_FILE, flow_path, state_path
from voiceagent.config.problems import ConfigErrors, KeyPath, Problem, key_text
from voiceagent.config.settings import (
    AgentConfig,
    AriConfig,
    AudioSocketConfig,
    Config,
    DialplanConfig,
    HttpConfig,
    MediaConfig,
    ProviderOptions,
    ServiceConfig,
    parse_address,
)
from voiceagent.config.sources import (
    Table,
    expand,
    overlay,
    read_override,
    read_table,
    set_key,
)
from voiceagent.config.structure import structure

__all__ = [
    "AgentConfig",
    "AriConfig",
    "AudioSocketConfig",
    "Config",
    "ConfigErrors",
    "DialplanConfig",
    "HttpConfig",
    "MediaConfig",
    "ProviderOptions",
    "ServiceConfig",
    "flow_path",
    "load_config",
    "parse_address",
    "state_path",
]


def load_config(path: Path | None, overrides: Sequence[str], environ: Mapping[str, str]) -> Config:
    """The settings of a file with `overrides` (`dotted.key=value`) laid over it.

    Without a path: `config.toml` of the working directory, or else the default that comes with the package (relative
    paths then start in the working directory).
    Reads no other files, but looks whether the flows named exist. Raises ConfigErrors with one line for every error.
    """
    here = Path("config.toml")
    file = path or (here if here.is_file() else DEFAULT_FILE)
    tree, set_keys = _gather(file, overrides)
    expanded, problems = expand(tree, environ)
    config, unfit = structure(expanded)
    config = evolve(config, directory=Path.cwd() if file == DEFAULT_FILE else file.absolute().parent)
    problems += unfit
    problems += [late for late in check(config) if not any(_follows(late.path, early.path) for early in problems)]
    if problems:
        first: dict[KeyPath, Problem] = {}
        for problem in problems:
            first.setdefault(problem.path, problem)  # what follows at the same key mostly follows from it
        raise ConfigErrors([_line(problem, file, set_keys, tree) for problem in first.values()])
    return config


def _gather(file: Path, overrides: Sequence[str]) -> tuple[Table, list[tuple[str, ...]]]:
    """All tables laid over one another, and the paths of the keys that overrides set."""
    tree = read_table(DEFAULT_FILE)
    lines: list[str] = []
    keys: list[tuple[str, ...]] = []
    try:
        tree = overlay(tree, read_table(file))
    except ConfigErrors as error:
        lines += error.lines
    for text in overrides:
        try:
            key, value = read_override(text)
            tree = set_key(tree, key, value)
            keys.append(key)
        except ConfigErrors as error:
            lines += error.lines
    if lines:
        raise ConfigErrors(lines)
    return tree, keys


def _follows(late: KeyPath, early: KeyPath) -> bool:
    """Whether one problem may merely follow from another: a bad key of the same agent, or no agents at all."""
    of_one_agent = len(late) == 3 and late[0] == "agents" and late[:2] == early[:2]
    return of_one_agent or early in (("agents",), ("providers",))


def _line(problem: Problem, file: Path, set_keys: Sequence[KeyPath], tree: Table) -> str:
    """The problem as one line that opens with who said so: the last override of the key, or the file."""
    for key in reversed(set_keys):
        if problem.path[: len(key)] == key:
            place = "" if problem.path == key else f"{key_text(problem.path)}: "
            return f"--set {key_text(key)}: {place}{problem.told(tree)}"
    return f"{file}: {key_text(problem.path)}: {problem.told(tree)}"
