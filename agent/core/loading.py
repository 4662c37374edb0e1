"""How long a runtime read weights before it began to make anything."""


class LoadTime:
    """seconds: None until both ends of the loading were seen, so that a job too short for a look shows none."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._began_s: float | None = None

    def saw(self, *, is_loading: bool, at_s: float) -> None:
        """With every report of progress. at_s: monotonic."""
        if is_loading and self._began_s is None:
            self._began_s = at_s
        elif not is_loading and self._began_s is not None and self.seconds is None:
            self.seconds = at_s - self._began_s
