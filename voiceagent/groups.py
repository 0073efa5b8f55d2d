"""Exception groups at public boundaries.

Our nurseries are nobody's business: an error that went through them leaves as it was raised, unless there are several.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define


@define
class Unwrapping:
    """Remembers what the body of a context raised, which may itself be a group and is left whole."""

    _raised: BaseException | None = None

    @contextmanager
    def body(self) -> Iterator[None]:
        """Put this around the `yield` of a context that has nurseries of its own."""
        try:
            yield
        except BaseException as error:
            self._raised = error
            raise

    def single(self, error: BaseException) -> BaseException:
        """The only error in `error`, if it is a group of that; or else `error` itself."""
        while error is not self._raised and isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        return error


@contextmanager
def unwrapped() -> Iterator[Unwrapping]:
    """Put this around the nurseries of a context. A single error leaves as itself, in the context it was raised in."""
    unwrapping = Unwrapping()
    try:
        yield unwrapping
    except BaseExceptionGroup as group:
        error = unwrapping.single(group)
        if error is group:
            raise
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context  # not the group that was taken apart
