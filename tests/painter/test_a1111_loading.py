"""The painter as an A1111 that reads its first checkpoint: what waits for it, and what answers meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from sd_async.contract.jobs import RuntimeType
from tests.painter.a1111 import SMALL, WebUi

LOAD_S = 0.8


@contextmanager
def started(folder: Path, first_load_s: float) -> Iterator[WebUi]:
    settings = PainterSettings(
        data=folder, type=RuntimeType.A1111, seconds_per_step=0, first_load_s=first_load_s, has_faults=True
    )
    with serving(settings) as url:
        client = WebUi(url)
        with client.http:
            yield client


def timed(ask: Callable[[], httpx.Response]) -> float:
    began_s = time.monotonic()
    assert ask().status_code == 200
    return time.monotonic() - began_s


@pytest.mark.parametrize(("route", "body"), [("reload-checkpoint", {}), ("txt2img", SMALL)])
def test_whatever_takes_the_model_waits_for_it(tmp_path: Path, route: str, body: dict[str, Any]) -> None:
    with started(tmp_path, LOAD_S) as webui:
        assert timed(lambda: webui.post(route, **body)) > LOAD_S / 2
        assert timed(lambda: webui.post("reload-checkpoint")) < LOAD_S / 2


def test_the_rest_answers_meanwhile_and_a_job_that_waits_shows_nowhere(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads, started(tmp_path, 60) as webui:
        threads.submit(webui.post, "reload-checkpoint")
        threads.submit(webui.post, "txt2img", **SMALL)
        time.sleep(0.2)
        assert webui.get("progress")["state"]["job_count"] == 0
        assert webui.get("options")
        assert webui.get("cmd-flags")["skip_load_model_at_start"] is False


def test_a_job_that_waited_for_it_has_forgotten_an_interrupt(tmp_path: Path) -> None:
    with started(tmp_path, LOAD_S) as webui:
        asking = threading.Timer(LOAD_S / 4, lambda: webui.post("interrupt"))
        asking.start()
        assert timed(lambda: webui.post("txt2img", **(SMALL | {"prompt": "<painter:sleep:0.5>"}))) > LOAD_S + 0.3
        asking.join()


def test_one_that_reads_it_with_its_first_job_says_so_and_lets_nobody_wait(tmp_path: Path) -> None:
    with started(tmp_path, 0) as webui:
        assert webui.get("cmd-flags")["skip_load_model_at_start"] is True
        assert timed(lambda: webui.post("reload-checkpoint")) < LOAD_S
