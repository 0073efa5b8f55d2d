"""What has to be in order for a service to take calls."""

import socket
from typing import TYPE_CHECKING

from voiceagent.app.agents import trouble
from voiceagent.pbx.listener import address_text
from voiceagent.web.health import Check, CheckResult

if TYPE_CHECKING:
    from voiceagent.app.service import Service


def checks_of(service: "Service", listener: socket.socket | None) -> dict[str, Check]:
    """What has to be in order for the service to take calls."""

    def listens() -> CheckResult:
        is_open = listener is not None and listener.fileno() >= 0
        return CheckResult(is_open, address_text(*service.address) if is_open else "closed")

    def takes_calls() -> CheckResult:
        return CheckResult(not service.draining, "no further calls are taken" if service.draining else "no")

    def workers_run() -> CheckResult:
        troubles = sorted(set(map(trouble, service.agents.values())) - {""})
        return CheckResult(not troubles, "; ".join(troubles) or "all run")

    def ari_tells() -> CheckResult:
        assert service.stasis is not None  # noqa: S101 - asked only with call control
        state = service.stasis.ari.state
        if state.replaced:
            return CheckResult(ok=False, detail="another client took our application")
        return CheckResult(state.connected, "connected" if state.connected else state.last_error or "not connected yet")

    checks: dict[str, Check] = {"draining": takes_calls, "workers": workers_run}
    if listener is not None:
        checks["listener"] = listens
    if service.stasis is not None:
        checks["ari"] = ari_tells
    return checks
