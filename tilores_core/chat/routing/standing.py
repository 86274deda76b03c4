"""For whom something is done: a caller who waits, or nobody yet."""

from __future__ import annotations

from collections.abc import Callable

from tilores_core.contracts import Purpose


class Standing:
    """Begun for `purpose`. Work behind the scenes rises once, when a caller joins it, and whatever line it waits in
    then is told."""

    def __init__(self, purpose: Purpose) -> None:
        self.purpose = purpose
        self._to_tell: dict[Callable[[], None], None] = {}

    @property
    def live(self) -> bool:
        return self.purpose == "live"

    def rise(self) -> None:
        """A caller waits for it from now on."""
        if self.live:
            return
        self.purpose = "live"
        to_tell, self._to_tell = self._to_tell, {}
        for risen in to_tell:
            risen()

    def tell(self, risen: Callable[[], None]) -> None:
        """Call `risen`, unless it is forgotten before, when it rises."""
        self._to_tell[risen] = None

    def forget(self, risen: Callable[[], None]) -> None:
        self._to_tell.pop(risen, None)
