"""What the chart makes: one pod with the runtime beside the agent, and nothing that KEDA should own."""

from typing import Any

import pytest

from local.helm import CHART, template
from tests.chart import rendering
from tests.chart.test_examples import SUPPORTED
from tests.support.manifests import problems

DIGEST = "sha256:" + "0" * 64


def test_the_default_install_is_a_deployment_with_its_account_and_its_network_policy() -> None:
    names = {kind: document["metadata"]["name"] for kind, document in rendering.objects().items()}
    assert names == {"Deployment": "comfy", "ServiceAccount": "comfy", "NetworkPolicy": "comfy"}


EVERYTHING = {
    "runtime__writable": [{"name": "cache", "mountPath": "/cache", "size": "1Gi"}],
    "models__mode": "mount",
    "models__bucket": "models-111122223333",
    "models__prefix": "comfy/",
    "extensions__image": {"repository": "registry.example/nodes", "tag": "1"},
    "priorityClassName": "gpu",
    "podDisruptionBudget__enabled": True,
    "networkPolicy__extraEgress": [{"ports": [{"protocol": "TCP", "port": 5432}]}],
    "observability__scrapeAnnotations": True,
    "observability__podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "observability__otlpEndpoint": "http://collector.observability:4318",
    "keda__enabled": True,
    "runtime__args": ["--listen"],
    "runtime__env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
    "agent__env": [{"name": "PYTHONFAULTHANDLER", "value": "1"}],
    "runtime__image__digest": DIGEST,
    "store__fileBuckets": ["team-a", "team-b"],
    "aws__endpointUrl": "http://127.0.0.1:4566",
    "serviceAccount__annotations": {"team": "a"},
    "nodeSelector": {"karpenter.sh/nodepool": "gpu"},
    "affinity": {"podAntiAffinity": {}},
    "podAnnotations": {"team": "a"},
    "podLabels": {"team": "a"},
    "imagePullSecrets": [{"name": "registry"}],
}


MATRIX: list[dict[str, Any]] = [
    {"models__mode": mode, "models__bucket": "" if mode == "image" else "models", "runtime__type": kind}
    for mode in ("mount", "copy", "image")
    for kind in ("comfyui", "a1111")
]


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_supported_kubernetes_takes_every_object(version: str) -> None:
    changes: list[dict[str, Any]] = [{}, EVERYTHING, {"runtime__resources": None}, *MATRIX]
    installs = [
        template(CHART, f"comfy-{number}", rendering.NAMESPACE, rendering.values(**each))
        for number, each in enumerate(changes)
    ]
    assert problems("\n---\n".join(installs), version) == []


def test_no_replicas_are_rendered_because_keda_owns_them() -> None:
    spec = rendering.objects()["Deployment"]["spec"]
    assert spec["selector"], "this is the Deployment's spec"
    assert "replicas" not in spec


def test_the_agents_environment_is_the_agreed_one() -> None:
    assert list(rendering.environment().items()) == [
        ("SD_AGENT_ID", "<metadata.name>"),
        ("SD_POD_IP", "<status.podIP>"),
        ("SD_RUNTIME_NAME", "comfy"),
        ("SD_RUNTIME_TYPE", "comfyui"),
        ("SD_RUNTIME_URL", "http://127.0.0.1:8188"),
        ("SD_QUEUE_URL", "https://sqs.us-west-2.amazonaws.com/111122223333/comfy"),
        ("SD_JOBS_TABLE", "jobs"),
        ("SD_RESULTS_TOPIC_ARN", "arn:aws:sns:us-west-2:111122223333:results"),
        ("SD_OUTPUT_BUCKET", "outputs-111122223333"),
        ("SD_INPUT_BUCKET", "inputs-111122223333"),
        ("SD_FILE_BUCKETS", ""),
        ("SD_JOB_TIMEOUT_S", "3600"),
        ("SD_VISIBILITY_S", "60"),
        ("SD_HEARTBEAT_S", "5"),
        ("SD_LEASE_S", "60"),
        ("SD_MAX_ATTEMPTS", "5"),
        ("SD_GRACE_PERIOD_S", "3720"),
        ("SD_JOBS_AHEAD", "16"),
        ("SD_HUNG_AFTER_S", "900"),
        ("SD_RUNTIME_WAIT_S", "300"),
        ("SD_LEAST_FREE_MIB", "0"),
        ("SD_RETENTION_DAYS", "30"),
        ("SD_HEALTH_PORT", "8081"),
        ("SD_LOG_LEVEL", "INFO"),
        ("SD_LOG_FORMAT", "json"),
        ("SD_METRICS", "prometheus"),
        ("AWS_REGION", "us-west-2"),
    ]


def test_an_endpoint_and_more_variables_come_on_top() -> None:
    more = rendering.environment(**EVERYTHING)
    assert more["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert more["PYTHONFAULTHANDLER"] == "1"
    assert more["SD_FILE_BUCKETS"] == "team-a,team-b"


def test_large_numbers_stay_whole() -> None:
    changes = {"job__timeoutSeconds": 42900, "terminationGracePeriodSeconds": 43020}
    assert rendering.environment(**changes)["SD_JOB_TIMEOUT_S"] == "42900"
    assert rendering.pod(**changes)["terminationGracePeriodSeconds"] == 43020


def test_numbers_that_came_over_pulumis_wire_as_fractions_stay_whole() -> None:
    changes = {"runtime__port": 9000.0, "job__timeoutSeconds": 600.0, "terminationGracePeriodSeconds": 720.0}
    assert rendering.environment(**changes)["SD_JOB_TIMEOUT_S"] == "600"
    assert rendering.pod(**changes)["terminationGracePeriodSeconds"] == 720
    assert rendering.runtime(**changes)["ports"][0]["containerPort"] == 9000


def test_the_runtime_is_a_sidecar_that_outlives_the_agent() -> None:
    runtime = rendering.runtime()
    assert (runtime["name"], runtime["restartPolicy"]) == ("runtime", "Always")
    assert rendering.agent()["name"] == "agent"
    assert "restartPolicy" not in rendering.agent()


@pytest.mark.parametrize(("kind", "path"), [("comfyui", "/system_stats"), ("a1111", "/sdapi/v1/options")])
def test_the_agent_starts_once_the_runtime_answers(kind: str, path: str) -> None:
    runtime = rendering.runtime(runtime__type=kind, runtime__port=9000)
    assert runtime["startupProbe"]["httpGet"] == {"path": path, "port": "runtime"}
    assert runtime["ports"] == [{"name": "runtime", "containerPort": 9000}]


def test_the_agent_tells_whether_it_lives_and_is_ready_on_its_own_port() -> None:
    agent = rendering.agent(agent__healthPort=9001)
    assert agent["ports"] == [{"name": "health", "containerPort": 9001}]
    assert agent["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert agent["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}


def test_the_agent_may_do_nothing_but_run() -> None:
    assert rendering.pod()["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert rendering.agent()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
    }, "this is what the Pod Security Standard `restricted` asks for, and a read-only root beside"
    assert rendering.agent()["volumeMounts"] == [{"name": "scratch", "mountPath": "/tmp"}]


def test_nobody_in_the_pod_speaks_to_the_api_server() -> None:
    assert rendering.pod()["automountServiceAccountToken"] is False
    assert rendering.objects()["ServiceAccount"]["automountServiceAccountToken"] is False


def test_no_credentials_come_from_the_chart() -> None:
    names = set(rendering.environment(**EVERYTHING))
    assert names & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} == set()


def test_a_runtime_has_one_gpu_unless_told_otherwise() -> None:
    asked = {"cpu": "2", "memory": "8Gi"}
    assert rendering.runtime()["resources"] == {"requests": asked, "limits": {"nvidia.com/gpu": 1}}
    assert "resources" not in rendering.runtime(runtime__resources=None)
    two = {"limits": {"nvidia.com/gpu": 2}}
    assert rendering.runtime(runtime__resources=two)["resources"] == {"requests": asked, **two}


@pytest.mark.parametrize(
    ("tag", "digest", "image"),
    [
        ("2", "", "registry.example/comfyui:2"),
        ("", DIGEST, f"registry.example/comfyui@{DIGEST}"),
        ("2", DIGEST, f"registry.example/comfyui:2@{DIGEST}"),
    ],
)
def test_an_image_is_put_together(tag: str, digest: str, image: str) -> None:
    assert rendering.runtime(runtime__image__tag=tag, runtime__image__digest=digest)["image"] == image


def test_pods_accept_the_taint_of_gpu_nodes() -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert rendering.pod()["tolerations"] == [toleration]
    assert "tolerations" not in rendering.pod(tolerations=[])


def test_what_is_optional_is_absent_by_default() -> None:
    optional = {"imagePullSecrets", "nodeSelector", "affinity", "priorityClassName"}
    assert optional & set(rendering.pod()) == set()
    assert optional <= set(rendering.pod(**EVERYTHING))
    kinds = {"PodDisruptionBudget", "PodMonitor", "ScaledObject", "ConfigMap", "PersistentVolume"}
    assert kinds & set(rendering.objects()) == set()
    assert kinds <= set(rendering.objects(**EVERYTHING))


def test_pods_carry_more_labels_and_annotations() -> None:
    metadata = rendering.objects(**EVERYTHING)["Deployment"]["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == metadata["annotations"]["team"] == "a"


def test_a_service_account_of_ones_own_is_used() -> None:
    changes = {"serviceAccount__create": False, "serviceAccount__name": "mine"}
    assert "ServiceAccount" not in rendering.objects(**changes)
    assert rendering.pod(**changes)["serviceAccountName"] == "mine"
    assert rendering.pod(serviceAccount__create=False)["serviceAccountName"] == "default"
    assert rendering.pod(serviceAccount__name="mine")["serviceAccountName"] == "mine"


def test_a_runtime_may_have_another_name_than_its_release() -> None:
    assert rendering.environment(runtime__name="flux")["SD_RUNTIME_NAME"] == "flux"
    assert rendering.objects(runtime__name="flux")["Deployment"]["metadata"]["name"] == "comfy"


def test_the_selector_is_part_of_the_labels() -> None:
    spec = rendering.objects(**EVERYTHING)["Deployment"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
