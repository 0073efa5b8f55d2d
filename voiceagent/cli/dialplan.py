"""`voiceagent dialplan`: the lines of extensions.conf that bring calls to the service as it is configured.

Exit codes: 0 printed, 2 the configuration has errors.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from voiceagent.config import Config, ConfigErrors, load_config

_STASIS = """\
; Calls for the agent, under call control (ARI): Goto(voiceagent,${{EXTEN}},1), or include => voiceagent.
[voiceagent]
exten => {exten},1,NoOp(${{CALLERID(num)}} calls {app})
; Another agent than {agent}: Stasis({app},NAME), or Set(VOICEAGENT_AGENT=NAME) before.
 same => n,Stasis({app})
; The service is not there, or could not go on: a human.
 same => n,GotoIf($["${{STASISSTATUS}}" = "FAILED"]?voiceagent-human,s,1)
{results}
 same => n,GotoIf($["${{VOICEAGENT_RESULT}}" = "TRANSFER"]?voiceagent-transfer,${{VOICEAGENT_TARGET}},1)
 same => n,GotoIf($["${{VOICEAGENT_RESULT}}" = "DONE"]?done)
 same => n,GotoIf($["${{VOICEAGENT_RESULT}}" = "TIMEOUT"]?done)
 same => n,Goto(voiceagent-human,s,1)
 same => n(done),Hangup()
"""
_RESULTS = """\
; How it went: DONE (the agent said goodbye), TRANSFER, TIMEOUT (the longest call), BUSY, STOPPED or FAILED."""

_APPLICATION = """\
; {title}
[{context}]
exten => {exten},1,Answer()
 same => n,AudioSocket(${{UUID()}},{address})
; It comes back here when the agent transfers the call, refuses it or ends it for the length of it. When he says
; goodbye, Asterisk hangs up and nothing below runs. Without a service at that address the call is hung up as well.
 same => n,Goto(voiceagent-human,s,1)
"""

_TRANSFER = """\
; Where transfers go: one line for each name that the flow transfers to.
[voiceagent-transfer]
exten => _[a-zA-Z0-9].,1,Goto(voiceagent-human,s,1)
"""

_HUMAN = """\
; Somebody who answers when no agent can.
[voiceagent-human]
exten => s,1,Dial(PJSIP/frontdesk,30)
 same => n,Playback(vm-nobodyavail)
 same => n,Hangup()
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: as serve)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one key of it; may be repeated"
    )
    parser.add_argument("--exten", default="_X.", help="the extensions that the agent answers (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    try:
        config = load_config(args.config, args.set, os.environ)
    except ConfigErrors as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(sections(config, args.exten)), end="")
    return 0


def sections(config: Config, exten: str) -> Iterator[str]:
    """The contexts of the dialplan, each ending in a newline."""
    agent, ari, address = config.audiosocket.agent, config.ari, config.audiosocket.advertise
    if ari.url:
        yield _STASIS.format(exten=exten, app=ari.app, agent=agent, results=_RESULTS)
        if config.dialplan.listen:
            title = "The same agent without call control."
            yield _APPLICATION.format(
                title=title, context="voiceagent-audiosocket", exten=exten, address=config.dialplan.listen
            )
        yield _TRANSFER
    else:
        title = "Calls for the agent: Goto(voiceagent,${EXTEN},1), or include => voiceagent."
        where = address or config.audiosocket.listen
        yield _APPLICATION.format(title=title, context="voiceagent", exten=exten, address=where)
    yield _HUMAN
