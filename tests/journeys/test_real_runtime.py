"""`--runtime-url`: agents drive a ComfyUI that was there before; here a painter that the system did not start."""

from pathlib import Path

import pytest

from local.emulator import Emulator
from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from local.processes import ProcessFailedError
from local.system import Options, check_runtime, running, runtime_type
from sd_async.client import Client
from sd_async.contract.jobs import RuntimeType
from sd_async.contract.states import Status
from tests.journeys import graphs


def test_a_runtime_of_ones_own_is_used_and_none_is_started(tmp_path: Path) -> None:
    with (
        serving(PainterSettings(data=tmp_path, seconds_per_step=0)) as url,
        running(Options(runtime_url=url)) as system,
    ):
        with Client(system.endpoint, system.api_key) as client:
            job = client.wait(client.submit(graphs.request(graphs.colour())).id, timeout_s=90)
        assert job.status is Status.SUCCEEDED, job.error
        assert [pod.runtime for pod in system.cluster.workloads["sd15"].pods.pods] == [None]
        assert list(tmp_path.rglob("*.png")), "the picture was made over there"


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1", "http://127.0.0.1:9"])
def test_a_runtime_that_does_not_answer_is_told_before_anything_is_started(url: str) -> None:
    with pytest.raises(ProcessFailedError, match="No runtime answers at"):
        check_runtime(url)


@pytest.mark.parametrize(("kind", "name"), [(RuntimeType.COMFYUI, "ComfyUI"), (RuntimeType.A1111, "A1111")])
def test_something_else_at_the_runtimes_address_is_no_runtime(emulator: Emulator, kind: RuntimeType, name: str) -> None:
    with pytest.raises(ProcessFailedError, match=f"is no {name}"):
        check_runtime(emulator.endpoint, kind)


@pytest.mark.parametrize("kind", list(RuntimeType))
def test_a_runtime_is_known_by_its_own_protocol(tmp_path: Path, kind: RuntimeType) -> None:
    [other] = set(RuntimeType) - {kind}
    with serving(PainterSettings(data=tmp_path, type=kind)) as url:
        check_runtime(url, kind)
        with pytest.raises(ProcessFailedError, match=r"is no|No runtime"):
            check_runtime(url, other)


def test_the_first_runtime_of_a_stack_says_which_protocol_is_asked() -> None:
    assert runtime_type(Options(stack="dev")) is RuntimeType.COMFYUI
    assert runtime_type(Options(stack="a1111")) is RuntimeType.A1111
    assert runtime_type(Options(overrides={"sd-async:runtimes": 3})) is RuntimeType.COMFYUI, "settings refuse it later"
