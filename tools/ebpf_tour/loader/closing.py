"""What has to be closed, closed by the `with` statement."""

from __future__ import annotations

from ebpf_tour.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Closing:
    """Gives a class with a `close()` the `with` statement."""

    def close(self) -> None:
        """Release everything. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
