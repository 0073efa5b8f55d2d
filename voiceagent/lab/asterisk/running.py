"""An Asterisk of its own: booted on loopback, asked, killed, restarted, stopped.

Everything blocks, with deadlines: in Trio, call it by `trio.to_thread.run_sync`.
"""

import base64
import http.client
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import trio
from attrs import define, frozen

from voiceagent.lab.asterisk.conf import HOST, USER, Options, Ports, choose_ports, write_configuration
from voiceagent.lab.asterisk.process import ProcessId, spawn
from voiceagent.lab.asterisk.recipe import SERVER
from voiceagent.lab.debian import LabError, output_of, program

#: It takes 1 to 2 s on a machine that does not stand still.
_BOOT_S: Final = 60.0
_CLI_S: Final = 30.0
_STOP_S: Final = 10.0


class PortTakenError(LabError):
    """Somebody else has a port that was free before."""


@frozen
class Site:
    """Where one Asterisk lives and how it is reached: enough to start it again."""

    tree: str
    run: str
    options: Options
    ports: Ports
    password: str

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of ours, as an LD_PRELOAD is made for another C library."""
        return {"PATH": os.defpath, "HOME": self.run}

    def command(self, *arguments: str) -> list[str]:
        return [*program(Path(self.tree), SERVER), "-C", f"{self.run}/etc/asterisk.conf", *arguments]


@define
class RunningAsterisk:
    """`ari_url` is for `ari.url`; `agent_port` is where Asterisk expects the phone `PJSIP/agent`, of UDP.

    `log`: everything down to verbose level 3. Ports and password stay the same over `restart`.
    """

    site: Site
    process: ProcessId
    version: str = ""

    user: ClassVar[str] = USER
    sip_host: ClassVar[str] = HOST

    @property
    def ari_url(self) -> str:
        return f"http://{HOST}:{self.site.ports.ari}/ari"

    @property
    def password(self) -> str:
        return self.site.password

    @property
    def sip_port(self) -> int:
        return self.site.ports.sip

    @property
    def agent_port(self) -> int:
        return self.site.ports.agent

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def run(self) -> Path:
        return Path(self.site.run)

    @property
    def log(self) -> Path:
        return self.run / "log" / "messages.log"

    def cli(self, command: str) -> str:
        """What Asterisk's console answers. Raises LabError when it is not running."""
        return output_of(self.site.command("-rx", command), within=_CLI_S, env=self.site.environ)

    def kill(self) -> None:
        """As a crash: no call, connection or file is closed in order."""
        self.process.kill()

    def stop(self) -> None:
        """At once, but in order; its calls end. Its files stay."""
        self.process.end(_STOP_S)

    def restart(self) -> None:
        """Stop it, unless it is killed already, and boot it again on the same ports. Raises LabError."""
        self.stop()
        self.process = _spawn(self.site)
        self.wait_booted()

    def wait_booted(self) -> None:
        """Until calls can come. Raises LabError, PortTakenError when a port was taken; then it is stopped."""
        try:
            self._wait_console()
            self.version = self._ask_version()
            self._check_sip()
        except BaseException:
            self.stop()
            raise

    def _wait_console(self) -> None:
        deadline = time.monotonic() + _BOOT_S
        said = "no console"
        while time.monotonic() < deadline:
            if self.process.wait(0.05):
                raise LabError(f"asterisk ended while starting: {self._last_words()} (log: {self.log})")
            if not (self.run / "run" / "asterisk.ctl").exists():
                continue
            try:
                if "fully booted" in (said := self.cli("core waitfullybooted")):
                    return
            except LabError as error:  # the socket is there before anybody listens
                said = str(error)
        raise LabError(f"asterisk did not boot within {_BOOT_S:g} s: {said.strip()} (log: {self.log})")

    def _ask_version(self) -> str:
        """As ARI says it: that it is ours is known by the password."""
        taken = PortTakenError(f"TCP port {self.site.ports.ari} of {HOST} is in use by another program")
        connection = http.client.HTTPConnection(HOST, self.site.ports.ari, timeout=_CLI_S)
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        try:
            connection.request("GET", "/ari/asterisk/info", headers={"Authorization": f"Basic {login}"})
            told: dict[str, Any] = json.loads(connection.getresponse().read(100_000))
            return str(told["system"]["version"])
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            raise taken from None
        finally:
            connection.close()

    def _check_sip(self) -> None:
        """Asterisk goes on without a transport that it cannot have."""
        if f"{HOST}:{self.sip_port}" not in self.cli("pjsip show transports"):
            raise PortTakenError(f"UDP port {self.sip_port} of {HOST} is in use by another program")

    def _last_words(self) -> str:
        try:
            lines = (self.run / "log" / "output.log").read_text(errors="replace").split("\n")
        except OSError:
            return "it said nothing"
        said = [line.strip() for line in lines if line.strip()]
        return next((line for line in said if "ERROR" in line), said[-1] if said else "it said nothing")


def _spawn(site: Site) -> ProcessId:
    (Path(site.run) / "run" / "asterisk.ctl").unlink(missing_ok=True)  # of one that was killed
    try:
        return spawn(site.command("-f", "-n"), site.environ, Path(site.run) / "log" / "output.log")
    except OSError as error:
        raise LabError(f"{site.tree}: {error.strerror} (remove the folder, and it is fetched anew)") from None


def start_asterisk(
    tree: Path,
    run: Path,
    options: Options | None = None,
    *,
    spawned: Callable[[RunningAsterisk], None] = lambda _asterisk: None,
) -> RunningAsterisk:
    """Boot an Asterisk with its files below `run`, which is created. Stop it, and remove `run`, when done.

    Tries once more with other ports if it lost one to somebody else. `spawned` is called as soon as there is a process.
    Raises LabError; then nothing runs.
    """
    try:
        return _try(tree, run, options or Options(), spawned)
    except PortTakenError:
        return _try(tree, run, options or Options(), spawned)


def _try(tree: Path, run: Path, options: Options, spawned: Callable[[RunningAsterisk], None]) -> RunningAsterisk:
    site = Site(str(tree), str(run), options, choose_ports(options), secrets.token_hex(8))
    write_configuration(run, tree, options, site.ports, site.password)
    asterisk = RunningAsterisk(site, _spawn(site))
    spawned(asterisk)
    asterisk.wait_booted()
    return asterisk


@asynccontextmanager
async def open_asterisk(tree: Path, run: Path, options: Options | None = None) -> AsyncIterator[RunningAsterisk]:
    """An Asterisk while the context lasts; `run` stays, to be read. Raises LabError.

    Cancelling waits until it has booted or failed, and then until it has stopped.
    """
    asterisk = await trio.to_thread.run_sync(partial(start_asterisk, tree, run, options))
    try:
        yield asterisk
    finally:
        with trio.CancelScope(shield=True):  # `stop` has a deadline
            await trio.to_thread.run_sync(asterisk.stop)
