"""A few jobs as bars, one row each, drawn without a library."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.agent_run import Measured

_COLOURS = {
    "received": "#d7dde5",
    "claimed": "#8fb3d9",
    "running": "#2f7d4f",
    "stored and settled": "#e0a458",
}
_LEFT, _WIDTH, _ROW, _BAR, _TOP = 70, 900, 26, 16, 60
_TEXT = 'font-family="sans-serif" font-size="12" fill="#333"'


@dataclass(frozen=True)
class Row:
    """Moments of one job, in seconds: message received, claim asked for, run begun, run ended, message deleted."""

    moments: tuple[float, float, float, float, float]

    @property
    def bars(self) -> Iterator[tuple[str, float, float]]:
        yield from zip(_COLOURS, self.moments[:-1], self.moments[1:], strict=True)


def rows(run: Measured) -> list[Row]:
    """In the order in which the jobs ran."""
    found = []
    for job, begin, end in run.spans:
        received = _first(run, "ReceiveMessage", job, answered=True)
        claimed = _first(run, "UpdateItem", job, answered=False)
        recorded = max(answered for name, _, answered, jobs in run.calls if name == "UpdateItem" and job in jobs)
        found.append(Row((received, claimed, begin, end, max(recorded, end))))
    return found


def _first(run: Measured, call: str, job: str, *, answered: bool) -> float:
    times = [(end if answered else begin) for name, begin, end, jobs in run.calls if name == call and job in jobs]
    return min(times)


def picture(run: Measured, skipped: int = 2) -> str:
    """SVG. skipped: jobs at the beginning that are left out, as the agent does not know yet how long jobs take."""
    shown = rows(run)[skipped:]
    start = min(row.moments[0] for row in shown)
    scale = _WIDTH / (max(row.moments[-1] for row in shown) - start)
    height = _TOP + _ROW * len(shown) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}" role="img">',
        "<title>Jobs of 0.3 s on one runtime, from receipt to record</title>",
        f'<rect width="100%" height="{height}" fill="#fff"/>',
        *_legend(),
    ]
    for index, row in enumerate(shown):
        y = _TOP + _ROW * index
        parts.append(f'<text x="10" y="{y + 13}" {_TEXT}>job {index + skipped + 1}</text>')
        parts += [
            f'<rect x="{_LEFT + (begin - start) * scale:.1f}" y="{y}" width="{(end - begin) * scale:.1f}" '
            f'height="{_BAR}" fill="{_COLOURS[name]}"><title>{name}: {1000 * (end - begin):.0f} ms</title></rect>'
            for name, begin, end in row.bars
        ]
    return "\n".join([*parts, *_axis(scale, height), "</svg>", ""])


def _legend() -> Sequence[str]:
    parts = []
    for index, (name, colour) in enumerate(_COLOURS.items()):
        x = _LEFT + 160 * index
        parts.append(f'<rect x="{x}" y="20" width="14" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="32" {_TEXT}>{name}</text>')
    return parts


def _axis(scale: float, height: int) -> Sequence[str]:
    """A mark at every half second."""
    marks = []
    for number in range(int(_WIDTH / scale / 0.5) + 1):
        x = _LEFT + number * 0.5 * scale
        marks.append(f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 28}" stroke="#ccc"/>')
        marks.append(f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle" {_TEXT}>{number * 0.5:.1f} s</text>')
    return marks
