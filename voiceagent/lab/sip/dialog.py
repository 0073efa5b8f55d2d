"""One call as a SIP phone sees it that has made it: messages in, replies and state out (RFC 3261, sections 12 to 15).

Pure: times are arguments, in seconds on any one clock. There is no authentication, no forking and no proxy in between.
"""

import secrets
from typing import Final, Literal

from attrs import define, field, frozen

from voiceagent.wire.sdp import AudioDescription, decode_sdp, encode_sdp
from voiceagent.wire.sip import (
    Headers,
    Request,
    Response,
    SipMessage,
    header_of,
    headers_of,
    sequence_of,
    tag_of,
    uri_of,
)

_ACCEPTED: Final = ("BYE", "CANCEL", "INFO", "NOTIFY", "OPTIONS", "UPDATE")


@frozen
class Ended:
    """How a call ended: `status` is that of the refusal, 0 when it had been answered and was then hung up."""

    at: float
    by: Literal["caller", "peer"]
    status: int = 0
    reason: str = ""


@define
class Dialog:
    """Feed `receive`; what it returns is to be sent. `local` is what we describe as our audio at any time.

    `responses`: the final one to each of our requests, by its CSeq; some per call.
    """

    extension: str
    user: str
    server: tuple[str, int]
    address: tuple[str, int]
    local: AudioDescription
    call_id: str = field(factory=lambda: secrets.token_hex(12))
    tag: str = field(factory=lambda: secrets.token_hex(4))
    remote: AudioDescription | None = None
    progressing_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    ended: Ended | None = None
    responses: dict[tuple[int, str], Response] = field(factory=dict)
    _to: str = ""
    _target: str = ""
    _sequence: int = 0
    _described: int = 0
    _invites: dict[int, Request] = field(factory=dict)  # one, and one for each hold and unhold

    def invite(self, extra: Headers = ()) -> Request:
        """The call itself, or once it is answered, what `local` is now."""
        self._sequence += 1
        request = self._request("INVITE", self._sequence, extra, self._sdp())
        self._invites[self._sequence] = request
        return request

    def cancel(self) -> Request:
        """Give up a call that is not answered, but for which there has been a provisional response."""
        invite = self._invites[1]
        kept = ("via", "from", "to", "call-id", "max-forwards")
        headers = tuple((name, value) for name, value in invite.headers if name.lower() in kept)
        return Request("CANCEL", invite.uri, (*headers, ("CSeq", "1 CANCEL")))

    def bye(self, now: float) -> Request:
        self.ended = self.ended or Ended(now, "caller")
        self._sequence += 1
        return self._request("BYE", self._sequence)

    def info(self, kind: str, body: str) -> Request:
        self._sequence += 1
        return self._request("INFO", self._sequence, (("Content-Type", kind),), body.encode())

    def receive(self, message: SipMessage, at: float) -> list[SipMessage]:
        """A message of this call that came at `at`. Raises SipError and SdpError for one that breaks the rules."""
        if isinstance(message, Request):
            return self._receive_request(message, at)
        number, method = sequence_of(message)
        if method == "INVITE" and number not in self._invites:
            return []
        if message.status < 200:
            if method == "INVITE" and number == 1:
                self._progress(message, at)
            return []
        if method == "INVITE":
            self._learn(number, message, at)
        self.responses.setdefault((number, method), message)
        return [self._ack(number, message)] if method == "INVITE" else []

    def _progress(self, response: Response, at: float) -> None:
        if self.progressing_at is None:
            self.progressing_at = at
        if response.status in (180, 183) and self.ringing_at is None:
            self.ringing_at = at
        if response.body and self.remote is None:
            self.remote = decode_sdp(response.body)

    def _learn(self, number: int, response: Response, at: float) -> None:
        if response.status < 300:
            self.remote = decode_sdp(response.body)
            self._to = header_of(response.headers, "to")
            self._target = uri_of(header_of(response.headers, "contact"))
            if self.answered_at is None:
                self.answered_at = at
        elif number == 1 and self.ended is None:
            by: Literal["caller", "peer"] = "caller" if response.status == 487 else "peer"
            self.ended = Ended(at, by, response.status, response.reason)

    def _receive_request(self, request: Request, at: float) -> list[SipMessage]:
        if request.method == "ACK":
            return []
        if request.method == "BYE" and self.ended is None:
            self.ended = Ended(at, "peer", reason=header_of(request.headers, "reason"))
        if request.method == "INVITE":
            if request.body:
                self.remote = decode_sdp(request.body)
            return [self._reply(request, 200, "OK", self._sdp())]
        if request.method in _ACCEPTED:
            return [self._reply(request, 200, "OK")]
        return [self._reply(request, 501, "Not Implemented")]

    def _request(self, method: str, number: int, extra: Headers = (), body: bytes = b"") -> Request:
        host, port = self.server
        uri = self._target or f"sip:{self.extension}@{host}:{port}"
        headers = (
            ("Via", self._via()),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.user}@{self.address[0]}>;tag={self.tag}"),
            ("To", self._to or f"<{uri}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
            ("Contact", self._contact()),
            *extra,
        )
        if method == "INVITE":
            headers += (("Content-Type", "application/sdp"),)
        return Request(method, uri, headers, body)

    def _ack(self, number: int, response: Response) -> Request:
        """Of a refusal it belongs to the transaction of the INVITE; of a success it is one of its own (13.2.2.4)."""
        invite = self._invites[number]
        accepted = response.status < 300
        return Request(
            "ACK",
            self._target if accepted else invite.uri,
            (
                ("Via", self._via() if accepted else header_of(invite.headers, "via")),
                ("Max-Forwards", "70"),
                ("From", header_of(invite.headers, "from")),
                ("To", header_of(response.headers, "to")),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} ACK"),
            ),
        )

    def _reply(self, request: Request, status: int, reason: str, body: bytes = b"") -> Response:
        copied = ("via", "from", "call-id", "cseq")
        headers = tuple((name.title(), value) for name in copied for value in headers_of(request.headers, name))
        to = header_of(request.headers, "to")
        headers += (("To", to if tag_of(to) else f"{to};tag={self.tag}"), ("Contact", self._contact()))
        if body:
            headers += (("Content-Type", "application/sdp"),)
        return Response(status, reason, headers, body)

    def _sdp(self) -> bytes:
        self._described += 1
        return encode_sdp(self.local, session=1, version=self._described)

    def _via(self) -> str:
        return f"SIP/2.0/UDP {self.address[0]}:{self.address[1]};rport;branch=z9hG4bK{secrets.token_hex(8)}"

    def _contact(self) -> str:
        return f"<sip:{self.user}@{self.address[0]}:{self.address[1]}>"
