"""What can go wrong between us and Asterisk. Every error says which request, about what; none repeats a query."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from voiceagent.wire.ari.commands.request import Request

#: Requests that answer 400 when a channel among their arguments has gone.
_MEMBERSHIP: Final = ("/addChannel", "/removeChannel")


class AriError(Exception):
    """`about` is what was asked, `reason` what Asterisk (or the network) said to that.

    `gone`: what the request was about is not there any more, or not ours any more; a fact of telephony, no fault.
    """

    gone: bool = False

    def __init__(self, about: str, reason: str) -> None:
        super().__init__(f"{about}: {reason}")
        self.about = about
        self.reason = reason


class AriTimeoutError(AriError):
    """No answer, or no such event, in time. Asterisk may have done it, or may do it yet."""


class AriUnavailableError(AriError):
    """No connection to Asterisk, or it was lost: it is not known whether the request was carried out."""


class GoneError(AriError):
    """What was waited for cannot come: the channel or bridge was destroyed."""

    gone = True


class OverflowedError(AriError):
    """Events came faster than they were taken, so some are missing: whoever needs them all must give up."""


class StatusError(AriError):
    """Asterisk refused. `status` is HTTP's."""

    def __init__(self, about: str, reason: str, status: int) -> None:
        super().__init__(about, f"{status} {reason}")
        self.status = status


class BadRequestError(StatusError):
    """400 and what else is our mistake; but 400 also for a bridge's members that have gone."""


class UnauthorisedError(StatusError):
    """401: name or password are wrong."""


class ForbiddenError(StatusError):
    """403: this user may only read."""


class NotFoundError(StatusError):
    """404."""

    gone = True


class ConflictError(StatusError):
    """409 and 412: it is there, but not in Stasis or in another state; or the id or name is in use."""


class UnprocessableError(StatusError):
    """422: not a member, not (yet) in Stasis, another technology."""


class ServerError(StatusError):
    """5xx, or an answer that makes no sense."""


_BY_STATUS: Final[Mapping[int, type[StatusError]]] = {
    400: BadRequestError,
    401: UnauthorisedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    422: UnprocessableError,
}


def status_error(request: Request, status: int, reason: str) -> StatusError:
    """The error for an answer that is none of 2xx."""
    kind = _BY_STATUS.get(status, BadRequestError if 400 <= status < 500 else ServerError)
    error = kind(str(request), reason, status)
    if status == 400 and request.path.endswith(_MEMBERSHIP):
        error.gone = True
    return error


@contextmanager
def unless_gone() -> Iterator[None]:
    """Around requests to end what may have ended by itself: that it has gone is what was wanted."""
    try:
        yield
    except AriError as error:
        if not error.gone:
            raise
