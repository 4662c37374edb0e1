"""The functions' environment: what is refused, by name."""

import pytest

from functions.api.env import EnvError, load
from tests.functions.fakes import ENVIRONMENT


def test_a_whole_environment_is_parsed() -> None:
    env = load(ENVIRONMENT | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})

    assert env.file_buckets == {"pictures", "masks", "input"}, "the input bucket may always be read"
    assert env.retention_s == 30 * 86400
    assert env.runtimes["comfy"].timeout_seconds == 600
    assert env.endpoint_url == "http://127.0.0.1:4566"


def test_no_file_bucket_is_a_choice_and_no_mistake() -> None:
    assert load(ENVIRONMENT | {"SD_FILE_BUCKETS": ""}).file_buckets == {"input"}


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(EnvError, match=f"{name} is missing"):
        load({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SD_JOBS_TABLE", " "),
        ("SD_RETENTION_DAYS", "0"),
        ("SD_RETENTION_DAYS", "3651"),
        ("SD_RETENTION_DAYS", "a month"),
        ("SD_URL_SECONDS", "604801"),
        ("SD_URL_SECONDS", "-1"),
        ("SD_RUNTIMES", "comfy"),
        ("SD_RUNTIMES", "{}"),
        ("SD_RUNTIMES", '{"comfy": {"type": "flux", "timeout_seconds": 1}}'),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(EnvError, match=name):
        load(ENVIRONMENT | {name: value})


@pytest.mark.parametrize(("name", "value"), [("SD_RETENTION_DAYS", "3650"), ("SD_URL_SECONDS", "604800")])
def test_the_largest_value_is_taken(name: str, value: str) -> None:
    load(ENVIRONMENT | {name: value})
