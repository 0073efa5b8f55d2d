"""Exception groups at public boundaries.

Our nurseries are nobody's business: an error that went through them leaves as it was raised, unless there are several.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define


@define
class Boundary:
    """Remembers what the body of a context raised, which may be a group of its own and is then left whole."""

    _raised: BaseException | None = None

    @contextmanager
    def body(self) -> Iterator[None]:
        """Put this around the `yield` of a context that has nurseries."""
        try:
            yield
        except BaseException as error:
            self._raised = error
            raise

    def unwrap(self, group: BaseException) -> BaseException:
        """What the body raised, if nothing else is in `group`; or its only error; or else `group`."""
        errors = list(leaves(group))
        # By their leaves: cancel scopes take groups apart and make new ones of the pieces.
        if self._raised is not None and set(map(id, errors)) == set(map(id, leaves(self._raised))):
            return self._raised
        return errors[0] if len(errors) == 1 else group


@contextmanager
def unwrapped() -> Iterator[Boundary]:
    """Put this around the nurseries of a context. A single error leaves as itself, in the context it was raised in."""
    boundary = Boundary()
    try:
        yield boundary
    except BaseExceptionGroup as group:
        error = boundary.unwrap(group)
        if error is group:
            raise
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # not the group that was taken apart


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, however nested; or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error
