"""Who may come in, and which call a connection belongs to. Pure: the router acts on what this says."""

from ipaddress import IPv4Network, IPv6Network, ip_address
from uuid import UUID

from attrs import define, field


@define
class Admission:
    """Counts what it refuses, by reason."""

    max_calls: int
    max_pending: int
    allow: tuple[IPv4Network | IPv6Network, ...]
    connections: int = 0
    pending: int = 0
    live: set[UUID] = field(factory=set)

    def connect(self, host: str, *, counted: bool = False) -> str | None:
        """A connection from `host` arrived: None, or the reason to close it at once. Pair with `disconnect`.

        `counted`: it can only be part of a call that has begun already, so there is no other limit than on those that
        have not said which.
        """
        try:
            address = ip_address(host.split("%")[0])
        except ValueError:
            return "peer not allowed"  # a name says nothing about who it is
        mapped = getattr(address, "ipv4_mapped", None)
        if not any((mapped or address) in network for network in self.allow):
            return "peer not allowed"
        if self.connections >= self.max_calls and not counted:
            return "too many calls"
        if self.pending >= self.max_pending:
            return "too many connections without UUID"
        self.connections += 1
        self.pending += 1
        return None

    def identified(self) -> None:
        """A connection has said which call it is, or never will."""
        self.pending -= 1

    def disconnect(self) -> None:
        """A connection is gone."""
        self.connections -= 1

    def begin(self, call: UUID) -> str | None:
        """`call` begins: None, or the reason why it must not. Pair with `finish`."""
        if call in self.live:
            return "call already connected"
        if len(self.live) >= self.max_calls:
            return "too many calls"
        self.live.add(call)
        return None

    def finish(self, call: UUID) -> None:
        self.live.discard(call)
