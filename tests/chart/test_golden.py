"""The default install, line by line: a change of it shows as a readable difference.

`python -m tests.chart.test_golden` writes the file anew.
"""

from pathlib import Path

from tests.chart import rendering

GOLDEN = Path(__file__).parent / "golden" / "default-install.yaml"


def test_the_default_install_is_as_it_was_read_last() -> None:
    assert rendering.text() == GOLDEN.read_text(encoding="utf-8"), (
        "look at it, then `python -m tests.chart.test_golden`"
    )


if __name__ == "__main__":
    GOLDEN.write_text(rendering.text(), encoding="utf-8")
