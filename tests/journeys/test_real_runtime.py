"""`--runtime-url`: agents drive a ComfyUI that was there before; here a painter that the system did not start."""

from pathlib import Path

from local.painter.embedded import serving
from local.painter.settings import PainterSettings
from local.system import Options, running
from sd_async.client import Client
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
