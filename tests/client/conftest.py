"""The command in a folder of its own."""

from pathlib import Path

import pytest

from tests.client.command import WORKFLOW, Command


@pytest.fixture
def sd_async(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    (tmp_path / "workflow.json").write_text(WORKFLOW)
    return Command(tmp_path, monkeypatch)
