"""How long a runtime read weights before it began to make anything."""


class LoadTime:
    """None until both ends of the loading were seen, so that a job too short for a look shows none.

    span_ns: the two ends, in nanoseconds since the epoch.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.span_ns: tuple[int, int] | None = None
        self._began: tuple[float, int] | None = None

    def saw(self, *, is_loading: bool, at_s: float, at_ns: int = 0) -> None:
        """With every report of progress. at_s: monotonic. at_ns: since the epoch."""
        if is_loading and self._began is None:
            self._began = at_s, at_ns
        elif not is_loading and self._began is not None and self.seconds is None:
            began_s, began_ns = self._began
            self.seconds, self.span_ns = at_s - began_s, (began_ns, at_ns)
