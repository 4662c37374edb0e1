"""The environment: read in full, refused in full."""

import json

import pytest

from agent.__main__ import BACKENDS
from agent.config import SERVED_TYPES, load
from agent.errors import ConfigError
from components.settings_runtimes import DEFAULT_PORTS
from local.helm import CHART
from local.painter.embedded import PAINTERS
from local.sample import OFFERED
from local.system import PROBES
from sd_async.contract.checks import DEFAULT_TYPE, TYPES
from sd_async.contract.jobs import RuntimeType
from tests.agent.test_port_backend import KINDS

GOOD = {
    "SD_AGENT_ID": "comfy-0",
    "SD_POD_IP": "10.0.0.7",
    "SD_RUNTIME_NAME": "comfy",
    "SD_RUNTIME_TYPE": "comfyui",
    "SD_RUNTIME_URL": "http://127.0.0.1:8188/",
    "SD_QUEUE_URL": "https://sqs.us-west-2.amazonaws.com/000000000000/comfy",
    "SD_JOBS_TABLE": "jobs",
    "SD_RESULTS_TOPIC_ARN": "arn:aws:sns:us-west-2:000000000000:results",
    "SD_OUTPUT_BUCKET": "outputs",
    "SD_INPUT_BUCKET": "inputs",
    "SD_JOB_TIMEOUT_S": "3600",
    "SD_VISIBILITY_S": "60",
    "SD_MAX_ATTEMPTS": "5",
    "SD_GRACE_PERIOD_S": "3720",
    "SD_RETENTION_DAYS": "30",
    "AWS_REGION": "us-west-2",
}


def problems(**changes: str | None) -> tuple[str, ...]:
    environment = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(ConfigError) as refused:
        load(environment)
    return refused.value.problems


def test_what_has_a_default_may_be_left_out() -> None:
    config = load(GOOD)
    assert (config.heartbeat_s, config.lease_s, config.health_port, config.log_level) == (5, 60, 8081, "INFO")
    assert (set(config.file_buckets), config.endpoint_url) == ({"inputs"}, None)
    assert config.runtime_url == "http://127.0.0.1:8188"


def test_a_runtime_is_waited_for_as_long_as_is_asked() -> None:
    assert load(GOOD).runtime_wait_s == 300
    assert load(GOOD | {"SD_RUNTIME_WAIT_S": "1"}).runtime_wait_s == 1
    assert problems(SD_RUNTIME_WAIT_S="0")[0].startswith("SD_RUNTIME_WAIT_S")


def test_the_input_bucket_is_always_among_the_buckets_of_files() -> None:
    assert load(GOOD | {"SD_FILE_BUCKETS": "team-a, team-b,"}).file_buckets == {"inputs", "team-a", "team-b"}


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        load({})
    for name in GOOD:
        assert any(problem.startswith(f"{name} ") for problem in refused.value.problems), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SD_POD_IP", "localhost"),
        ("SD_OUTPUT_FOLDER", "output"),
        ("SD_JOBS_AHEAD", "33"),
        ("SD_RUNTIME_TYPE", "automatic"),
        ("SD_RUNTIME_URL", "ftp://127.0.0.1"),
        ("SD_RUNTIME_URL", "http://127.0.0.1:99999"),
        ("SD_QUEUE_URL", "comfy"),
        ("SD_JOB_TIMEOUT_S", "0"),
        ("SD_JOB_TIMEOUT_S", "1.5"),
        ("SD_JOB_TIMEOUT_S", "43200"),
        ("SD_MAX_ATTEMPTS", "²"),
        ("SD_HEALTH_PORT", "65536"),
        ("SD_LOG_LEVEL", "LOUD"),
        ("SD_LOG_FORMAT", "xml"),
        ("SD_METRICS", "statsd"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:4566"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_value(name: str, value: str) -> None:
    [problem] = problems(**{name: value})
    assert problem.startswith(f"{name} is `{value}`")


def test_a_lease_shorter_than_three_heartbeats_is_refused_with_both_numbers() -> None:
    [problem] = problems(SD_LEASE_S="14")
    assert "14" in problem
    assert "5 s" in problem
    assert load(GOOD | {"SD_LEASE_S": "15"}).lease_s == 15


def test_metrics_in_the_log_need_a_log_in_json() -> None:
    [problem] = problems(SD_METRICS="both", SD_LOG_FORMAT="text")
    assert problem == "SD_METRICS is `both`, which needs lines in JSON, and SD_LOG_FORMAT is `text`."
    config = load(GOOD | {"SD_METRICS": "both"})
    assert (config.is_scraped, config.is_emf) == (True, True)
    text = load(GOOD | {"SD_LOG_FORMAT": "text", "SD_METRICS": "prometheus"})
    assert (text.log_format, text.is_emf) == ("text", False)
    assert not load(GOOD | {"SD_METRICS": "none"}).is_scraped


def test_a_runtime_type_means_the_same_wherever_it_is_listed() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    offered = schema["properties"]["runtime"]["properties"]["type"]["enum"]
    lists = {
        "backends": BACKENDS,
        "agent's configuration": SERVED_TYPES,
        "chart's schema": offered,
        "default ports": DEFAULT_PORTS,
        "job types": TYPES,
        "painters": PAINTERS,
        "probes of local mode": PROBES,
        "examples on offer": OFFERED,
        "port suite": KINDS[1:],
        "default job type": DEFAULT_TYPE,
    }
    for name, listed in lists.items():
        assert sorted(listed) == sorted(RuntimeType), name


def test_each_type_has_the_backend_of_its_name() -> None:
    made = {kind: type(BACKENDS[kind](load(GOOD))).__name__.lower() for kind in RuntimeType}
    assert made == {kind: kind.value for kind in RuntimeType}
