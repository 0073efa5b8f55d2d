"""Running other programs, each with a deadline; what goes wrong is told in one line."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

#: Is told what is being done, a line each.
Progress: TypeAlias = Callable[[str], None]


class LabError(Exception):
    """The lab cannot do what was asked. One line: what is in the way, and what helps."""


def output_of(
    command: Sequence[str | Path],
    *,
    within: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    remedy: str = "",
) -> str:
    """What `command` prints. It is killed after `within` seconds.

    Raises LabError when there is no such program, it takes longer, or its exit code is not 0; `remedy` is added.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603 - a list, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within,
            check=False,
            cwd=cwd,
            env=env,
        )
    except FileNotFoundError:
        raise LabError(f"{name} is missing{_also(remedy)}") from None
    except OSError as error:
        raise LabError(f"{name}: {error.strerror}{_also(remedy)}") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{name} took longer than {within:g} s{_also(remedy)}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        # apt says what it tried first, then what failed: the first error tells most.
        reason = next((line for line in said if line.startswith("E:")), said[-1])
        raise LabError(f"{name}: {reason.strip()}{_also(remedy)}")
    return done.stdout


def _also(remedy: str) -> str:
    return f" ({remedy})" if remedy else ""
