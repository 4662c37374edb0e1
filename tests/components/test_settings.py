"""A stack file becomes typed values, or is refused as a whole with a sentence for each thing that is wrong."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.settings import MAX_PREFIX_CHARS, Settings, SettingsError, parse
from components.settings_cluster import KubernetesSettings
from components.settings_platform import ApiSettings, StorageSettings
from components.settings_runtimes import AgentSettings, ScalingSettings
from sd_async.contract import limits
from sd_async.contract.jobs import RuntimeType
from tests.components.example import AGENT as AGENT_IMAGE
from tests.components.example import CONFIG, as_text, changed, stack
from tests.support.engine import ROOT, settings_of

RUNTIME = {"name": "sd15", "type": "comfyui", "image": "registry.example/comfyui:1"}
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:ecr-pullthroughcache/hub-AbCdEf"
AGENT = {"image": "registry.example/agent:1"}


def problems(config: dict[str, Any], project: str = "sd-async", stack_name: str = "dev") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(project, stack_name, config)
    return list(caught.value.problems)


def test_what_is_left_out_has_the_documented_default() -> None:
    settings = parse("sd-async", "dev", {name: CONFIG[name] for name in CONFIG if "storage" not in name})
    first, second = settings.runtimes
    assert (first.type, first.port, first.job_timeout_s) == (RuntimeType.COMFYUI, 8188, 3600)
    assert (second.type, second.port, second.job_timeout_s) == (RuntimeType.A1111, 7860, 900)
    assert first.scaling == ScalingSettings(
        min_replicas=0, max_replicas=2, queue_length=1, polling_interval_s=10, cooldown_s=300
    )
    assert settings.agent == AgentSettings(
        image=AGENT_IMAGE, heartbeat_s=5, lease_s=60, max_attempts=5, log_level="INFO"
    )
    assert settings.api == ApiSettings(
        architecture="arm64",
        python="3.13",
        memory_mb=512,
        rate_per_s=30,
        burst=50,
        log_retention_days=30,
        url_expiry_s=3600,
    )
    assert settings.storage == StorageSettings(retention_days=30, file_buckets=())
    assert settings.kubernetes == KubernetesSettings(context=None, namespace="sd-async")
    assert (settings.project, settings.stack, settings.region) == ("sd-async", "dev", "us-west-2")
    assert settings.endpoint_url is None


def test_values_and_the_text_that_pulumi_makes_of_them_mean_the_same() -> None:
    assert parse("sd-async", "dev", as_text(CONFIG)) == parse("sd-async", "dev", CONFIG)


def test_the_stack_file_of_the_repository_needs_no_edit() -> None:
    settings = parse("sd-async", "dev", settings_of(ROOT / "Pulumi.dev.yaml"))
    [runtime] = settings.runtimes
    assert (runtime.name, runtime.type, runtime.scaling.max_replicas) == ("sd15", RuntimeType.COMFYUI, 2)
    assert runtime.scaling.min_replicas == 0, "trying things out costs nothing while there are no jobs"
    assert settings.kubernetes.context is None, "no cluster of somebody's is touched unasked"
    assert settings.api.architecture != "host"


def test_what_another_program_reads_is_left_alone() -> None:
    assert parse("sd-async", "dev", CONFIG | {"other:key": "value", "aws:profile": "work"})


def test_null_means_left_out() -> None:
    settings = stack(agent=AGENT | {"lease_s": None}, api=None, kubernetes={"context": None})
    assert (settings.agent.lease_s, settings.api, settings.kubernetes.context) == (60, ApiSettings(), None)


def test_everything_wrong_is_said_at_once() -> None:
    found = problems({"sd-async:runtimes": [{"name": "SD", "type": "tpu"}], "sd-async:agent": {"leas_s": 9}})
    assert [line.split(":")[0] + ":" + line.split(":")[1] for line in found] == [
        "aws:region",
        "sd-async:runtimes[0].name",
        "sd-async:runtimes[0].type",
        "sd-async:agent",
    ]


def test_the_exception_shows_every_problem() -> None:
    with pytest.raises(SettingsError, match=r"agent: 1 is no mapping.*\n.*api\.burst: 0 is no whole number"):
        stack(api={"burst": 0}, agent=1)


REFUSED = [
    ({"runtimes": []}, "sd-async:runtimes: 0 items where a list of 1 to 20 is needed."),
    ({"runtimes": "sd15"}, "sd-async:runtimes: sd15 where a list of 1 to 20 is needed."),
    ({"runtimes": ["sd15"]}, "sd-async:runtimes[0]: sd15 is no mapping; write its settings as `name: value` lines"),
    ({"runtimes": [RUNTIME | {"name": "sd-"}]}, "sd-async:runtimes[0].name: sd- is no runtime name: a letter, then"),
    ({"runtimes": [RUNTIME | {"name": "a" * 21}]}, f"sd-async:runtimes[0].name: {'a' * 21} is no runtime name"),
    ({"runtimes": [RUNTIME | {"type": "forge"}]}, "sd-async:runtimes[0].type: forge is none of comfyui, a1111."),
    (
        {"runtimes": [RUNTIME | {"image": "x/y:latest"}]},
        "sd-async:runtimes[0].image: x/y:latest is no image with a tag",
    ),
    ({"runtimes": [RUNTIME | {"image": "x/y"}]}, "sd-async:runtimes[0].image: x/y is no image with a tag other than"),
    ({"runtimes": [RUNTIME | {"port": 80}]}, "sd-async:runtimes[0].port: 80 is no whole number from 1024 to 65535."),
    ({"runtimes": [RUNTIME | {"port": "8188"}]}, "sd-async:runtimes[0].port: 8188 is no whole number from 1024 to 655"),
    ({"runtimes": [RUNTIME | {"port": 8081}]}, "sd-async:runtimes[0].port: 8081 is the agent's own in the same pod"),
    (
        {"runtimes": [RUNTIME | {"job_timeout_s": 42901}]},
        "sd-async:runtimes[0].job_timeout_s: 42901 is no whole number from 1 to 42900 seconds. Leave it out for 3600.",
    ),
    (
        {"runtimes": [RUNTIME | {"scaling": {"min_replicas": 3, "max_replicas": 2}}]},
        "sd-async:runtimes[0].scaling.min_replicas: 3 is more than max_replicas, 2; lower the one or raise the other.",
    ),
    (
        {"runtimes": [RUNTIME | {"scaling": {"queue_length": True}}]},
        "sd-async:runtimes[0].scaling.queue_length: True is no whole number from 1 to 1000 jobs. Leave it out for 1.",
    ),
    ({"runtimes": [RUNTIME, RUNTIME]}, "sd-async:runtimes: 2 are named sd15; give each its own name"),
    (
        {"agent": {}, "images": {"build": "given"}},
        "sd-async:agent.image: is missing, and images.build: given builds none; name one, or leave build out.",
    ),
    (
        {"runtimes": [{"name": "sd15", "type": "comfyui"}], "images": {"repositories": False}},
        "sd-async:runtimes[0].image: is missing, and images.repositories: false builds none; name one, or leave",
    ),
    (
        {"images": {"caches": [{"upstream": "docker-hub"}]}},
        "sd-async:images.caches[0].secret_arn: is missing; docker-hub answers ECR only with credentials, so store them",
    ),
    (
        {"images": {"caches": [{"upstream": "quay", "secret_arn": SECRET}]}},
        "sd-async:images.caches[0].secret_arn: quay asks for no credentials; leave it out.",
    ),
    ({"images": {"caches": [{"upstream": "quay"}] * 2}}, "sd-async:images.caches: 2 are of quay; one is enough."),
    (
        {"images": {"caches": [{"upstream": "quay", "secret_arn": "arn:aws:secretsmanager:us-west-2:1:secret:x"}]}},
        "sd-async:images.caches[0].secret_arn: arn:aws:secretsmanager:us-west-2:1:secret:x is no ARN of a secret",
    ),
    ({"images": {"build": "docker"}}, "sd-async:images.build: docker is none of codebuild, local, given."),
    ({"agent": AGENT | {"lease_s": 14}}, "sd-async:agent.lease_s: 14 is less than three heartbeats of 5 s"),
    ({"agent": AGENT | {"max_attempts": 1001}}, "sd-async:agent.max_attempts: 1001 is no whole number from 1 to 1000."),
    (
        {"agent": AGENT | {"log_level": "info"}},
        "sd-async:agent.log_level: info is none of DEBUG, INFO, WARNING, ERROR.",
    ),
    (
        {"agent": AGENT | {"metrics": "emf", "log_format": "text"}},
        "sd-async:agent.metrics: emf are members of lines in JSON and agent.log_format is text; choose json",
    ),
    (
        {"agent": AGENT | {"metrics": "none", "scrape": "annotations"}},
        "sd-async:agent.scrape: annotations leads Prometheus to /metrics, which agent.metrics none does not serve",
    ),
    ({"agent": AGENT | {"traces_url": "collector:4318"}}, "sd-async:agent.traces_url: collector:4318 is no address"),
    ({"api": {"architecture": "arm"}}, "sd-async:api.architecture: arm is none of arm64, x86_64, host."),
    ({"api": {"architecture": "host"}}, "sd-async:api.architecture: host is for local mode, which sets endpoint_url"),
    ({"api": {"python": 3.13}}, "sd-async:api.python: 3.13 is none of 3.12, 3.13, 3.14."),
    ({"api": {"log_retention_days": 31}}, "sd-async:api.log_retention_days: 31 is none of 1, 3, 5, 7, 14, 30,"),
    ({"api": {"log_retention_days": True}}, "sd-async:api.log_retention_days: True is none of 1, 3, 5, 7, 14, 30,"),
    ({"api": {"url_expiry_s": 43201}}, "sd-async:api.url_expiry_s: 43201 is no whole number from 60 to 43200 seconds."),
    ({"api": {"waf": "yes"}}, "sd-async:api.waf: yes is neither true nor false. Leave it out for False."),
    ({"api": {"clients": []}}, "sd-async:api.clients: 0 items where a list of 1 to 100 is needed."),
    ({"api": {"clients": [{"name": "a"}, {"name": "a"}]}}, "sd-async:api.clients: 2 are named a; give each its own"),
    ({"api": {"clients": [{"name": "a", "quota": 0}]}}, "sd-async:api.clients[0].quota: 0 is no whole number from 1"),
    ({"api": {"domain": {"name": "example.com"}}}, "sd-async:api.domain: has neither certificate_arn nor zone_id"),
    (
        {"api": {"domain": {"name": "example.com", "zone_id": "Z1"}, "vpc_endpoint_id": "vpce-01234567"}},
        "sd-async:api.domain: a private API has no name of its own here; leave out api.domain",
    ),
    (
        {"observability": {"budget_usd_per_month": 9}},
        "sd-async:observability.budget_usd_per_month: tells nobody; name who is told in observability.emails.",
    ),
    ({"storage": {"retention_days": 0}}, "sd-async:storage.retention_days: 0 is no whole number from 1 to 3650 days."),
    ({"storage": {"file_buckets": ["Up"]}}, "sd-async:storage.file_buckets[0]: Up is no bucket name: 3 to 63 of a-z"),
    ({"kubernetes": {"context": "a b"}}, "sd-async:kubernetes.context: a b is no context of a kubeconfig: 1 to 253"),
    ({"kubernetes": {"namespace": "Ns"}}, "sd-async:kubernetes.namespace: Ns is no namespace: up to 63 of a-z, 0-9"),
    (
        {"endpoint_url": "localhost:1"},
        "sd-async:endpoint_url: localhost:1 is no address such as `http://127.0.0.1:4566`",
    ),
    ({"apii": {}}, "sd-async: apii is no setting; did you mean `api`?"),
    ({"api": {"rate": 1}}, "sd-async:api: rate is no setting; "),
    (
        {"api": {"zzz": 1}},
        "sd-async:api: zzz is no setting; remove it; there are architecture, burst, clients, domain",
    ),
]


@pytest.mark.parametrize(("sections", "sentence"), REFUSED, ids=[sentence[9:60] for _, sentence in REFUSED])
def test_a_wrong_value_is_refused_by_key_value_bound_and_way_out(sections: dict[str, Any], sentence: str) -> None:
    [found] = problems(changed(**sections))
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    "sections",
    [
        {"agent": AGENT | {"lease_s": 15}},
        {"agent": AGENT | {"metrics": "emf"}},
        {"agent": AGENT | {"metrics": "both", "scrape": "pod_monitor", "traces_url": "http://collector:4318"}},
        {"runtimes": [RUNTIME | {"scaling": {"min_replicas": 2, "max_replicas": 2}}]},
        {"runtimes": [RUNTIME | {"job_timeout_s": limits.MAX_TIMEOUT_S}]},
        {"runtimes": [RUNTIME, RUNTIME | {"name": "other"}]},
        {"runtimes": [RUNTIME | {"image": f"registry.example:5000/a/b@sha256:{'0' * 64}"}]},
        {"runtimes": [RUNTIME | {"image": f"registry.example:5000/a/b:1.2@sha256:{'0' * 64}"}]},
        {"api": {"architecture": "host"}, "endpoint_url": "http://127.0.0.1:4566"},
    ],
)
def test_what_is_just_inside_a_bound_is_taken(sections: dict[str, Any]) -> None:
    assert stack(**sections)


def test_a_region_is_needed_and_the_sentence_says_how_to_set_one() -> None:
    [found] = problems({name: value for name, value in CONFIG.items() if name != "aws:region"})
    assert found == "aws:region: None is no AWS region; set one, for example `aws:region: us-west-2`."


def test_a_name_that_would_not_fit_in_awss_names_is_refused_before_aws_does() -> None:
    stack_name = "a" * (MAX_PREFIX_CHARS - len("sd-async-"))
    assert parse("sd-async", stack_name, CONFIG)
    [found] = problems(CONFIG, stack_name=f"{stack_name}a")
    assert f"has {MAX_PREFIX_CHARS + 1} characters and {MAX_PREFIX_CHARS} fit" in found


@pytest.mark.parametrize("stack_name", ["Dev", "a.b", "a_b", "1", ""])
def test_a_stack_name_that_some_aws_name_cannot_hold_is_refused(stack_name: str) -> None:
    [found] = problems(CONFIG, stack_name=stack_name)
    assert found.startswith(f"stack: {stack_name} is no name that AWS takes everywhere")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["runtimes", "agent", "api", "storage", "kubernetes", "endpoint_url", "name", "type", "image", "port", "scaling"]
)


def outcome(sections: dict[str, Any]) -> Settings | tuple[str, ...]:
    try:
        return stack(**sections)
    except SettingsError as error:
        return error.problems


@given(st.dictionaries(KEYS | st.text(max_size=8), JSON | st.dictionaries(KEYS, JSON) | st.lists(JSON, max_size=3)))
def test_any_values_become_settings_or_one_settings_error(sections: dict[str, Any]) -> None:
    found = outcome(sections)
    assert isinstance(found, Settings) or found
    assert isinstance(found, Settings) or all(line.startswith("sd-async:") for line in found)


@given(st.text(max_size=80))
def test_any_yaml_becomes_settings_or_one_settings_error(text: str) -> None:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # not ours: dates that do not exist, for example
        return
    for section in ("runtimes", "agent", "api", "endpoint_url"):
        assert outcome({section: value})


@pytest.mark.parametrize("value", ["[" * 100_000, {"burst": 1 << 40_000}, {"burst": float("nan")}, {1: 2}, "\ud800"])
def test_monstrous_values_are_refused_like_any_other(value: Any) -> None:
    assert problems(changed(api=value))


def test_a_cache_whose_name_is_too_long_for_ecr_is_refused_and_one_that_just_fits_is_taken() -> None:
    config = changed(images={"caches": [{"upstream": "docker-hub", "secret_arn": SECRET}]})
    assert len("sd-async-productio/docker-hub") == 29
    [found] = problems(config, stack_name="productions")
    assert found.startswith(
        "sd-async:images.caches[0].upstream: sd-async-productions/docker-hub has 31 characters and ECR"
    )
    assert parse("sd-async", "production", config).images.caches[0].secret_arn == SECRET
