"""The pod: what it may do, whom it may speak to, and how hung is told from busy."""

from typing import Any

import pytest

from agent.__main__ import EXIT_CODES
from agent.errors import RuntimeFullError, RuntimeGoneError
from tests.chart import rendering
from tests.support.manifests import problems

ALL: dict[str, Any] = {
    "models__mode": "copy",
    "models__bucket": "models",
    "models__copy__refreshSeconds": 60,
    "extensions__image": {"repository": "registry.example/nodes", "tag": "1"},
}


def containers(**changes: Any) -> list[dict[str, Any]]:
    return [*rendering.init_containers(**changes).values(), rendering.agent(**changes)]


def test_every_container_meets_the_restricted_pod_security_standard() -> None:
    pod = rendering.pod(**ALL)
    assert len(containers(**ALL)) == 5, "all of them are there"
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"hostNetwork", "hostPID", "hostIPC"} & set(pod) == set()
    for container in containers(**ALL):
        context = container["securityContext"]
        assert context["runAsNonRoot"], container["name"]
        assert context["runAsUser"] > 0
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert all("hostPort" not in port for port in container.get("ports", []))
    kinds = {"emptyDir", "configMap", "persistentVolumeClaim"}
    assert all(set(volume) - {"name"} <= kinds for volume in pod["volumes"])


def test_processes_are_shared_only_when_asked() -> None:
    assert "shareProcessNamespace" not in rendering.pod()
    assert rendering.pod(shareProcessNamespace=True)["shareProcessNamespace"] is True


def test_a_root_that_may_be_written_has_to_be_asked_for() -> None:
    assert rendering.runtime(runtime__readOnlyRoot=False)["securityContext"]["readOnlyRootFilesystem"] is False


def test_what_may_be_written_is_named_and_bounded() -> None:
    more = [{"name": "cache", "mountPath": "/cache", "size": "1Gi"}]
    changes = {**ALL, "runtime__writable": more}
    for volume in rendering.volumes(**changes).values():
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"], volume
    written = {item["mountPath"] for item in rendering.runtime(**changes)["volumeMounts"] if not item.get("readOnly")}
    assert written == {"/data", "/data/input", "/tmp", "/cache", "/extensions"}


def test_no_token_reaches_the_runtime() -> None:
    """EKS's webhook mounts Pod Identity's token into each container of a pod that is not named here."""
    metadata = rendering.objects()["Deployment"]["spec"]["template"]["metadata"]
    assert metadata["annotations"]["eks.amazonaws.com/skip-containers"] == "runtime,extensions"
    assert rendering.pod()["automountServiceAccountToken"] is False
    assert [item["name"] for item in rendering.runtime()["env"]] == ["HOME", "TMPDIR"], "nothing of AWS"


def test_a_runtimes_own_variables_go_before_the_charts() -> None:
    env = rendering.runtime(runtime__env=[{"name": "HOME", "value": "/x"}])["env"]
    assert env == [{"name": "TMPDIR", "value": "/tmp"}, {"name": "HOME", "value": "/x"}]


def test_hung_is_minutes_of_silence_and_busy_is_not() -> None:
    probe = rendering.runtime(runtime__hungSeconds=120)["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 120
    assert probe["timeoutSeconds"] < probe["periodSeconds"]
    assert "livenessProbe" not in rendering.runtime(runtime__hungSeconds=0)
    assert "readinessProbe" not in rendering.runtime(), "the agent tells whether the pod is ready"


def test_the_whole_pod_starts_anew_where_kubernetes_can_and_the_agent_gave_its_runtime_up() -> None:
    assert rendering.agent().keys().isdisjoint({"restartPolicy", "restartPolicyRules"}), "older ones refuse it"
    agent = rendering.agent(agent__restartsPod=True)
    [rule] = agent["restartPolicyRules"]
    assert (agent["restartPolicy"], rule["action"]) == ("Always", "RestartAllContainers")
    given_up = {EXIT_CODES[RuntimeGoneError], EXIT_CODES[RuntimeFullError]}
    assert (rule["exitCodes"]["operator"], set(rule["exitCodes"]["values"])) == ("In", given_up)
    assert problems(rendering.text(agent__restartsPod=True), "1.36") == []


@pytest.mark.parametrize(("seconds", "tries"), [(30, 10), (31, 11), (7200, 2400)])
def test_a_start_may_take_as_long_as_asked(seconds: int, tries: int) -> None:
    probe = rendering.runtime(runtime__startupSeconds=seconds)["startupProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (3, tries)
    deadline = rendering.objects(runtime__startupSeconds=seconds)["Deployment"]["spec"]["progressDeadlineSeconds"]
    assert deadline > seconds


def test_pods_spread_over_zones_where_there_is_a_choice() -> None:
    [constraint] = rendering.pod()["topologySpreadConstraints"]
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    assert constraint["labelSelector"] == rendering.objects()["Deployment"]["spec"]["selector"]
    assert "topologySpreadConstraints" not in rendering.pod(topologySpreadConstraints=[])


def test_a_spot_node_is_never_kept_from_going() -> None:
    annotations = rendering.objects(**ALL)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert "karpenter.sh/do-not-disrupt" not in annotations


def test_a_budget_lets_broken_pods_go() -> None:
    budget = rendering.objects(podDisruptionBudget__enabled=True)["PodDisruptionBudget"]["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def policy(**changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = rendering.objects(**changes)["NetworkPolicy"]["spec"]
    return spec


def test_nobody_reaches_the_pod_from_outside() -> None:
    assert policy()["policyTypes"] == ["Ingress", "Egress"]
    assert policy()["ingress"] == []
    assert "NetworkPolicy" not in rendering.objects(networkPolicy__enabled=False)


@pytest.mark.parametrize("wish", ["observability__scrapeAnnotations", "observability__podMonitor__enabled"])
def test_a_scraper_reaches_the_agents_port_and_no_other(wish: str) -> None:
    [rule] = policy(**{wish: True})["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8081}]


def test_the_pod_reaches_names_https_and_its_credentials() -> None:
    ports = [[port["port"] for port in rule["ports"]] for rule in policy()["egress"]]
    assert ports == [[53, 53], [443], [80]]
    blocks = [peer["ipBlock"]["cidr"] for peer in policy()["egress"][2]["to"]]
    assert blocks == ["169.254.170.23/32", "fd00:ec2::23/128"], "EKS Pod Identity's agent, not the instance's metadata"


def test_blocked_addresses_are_kept_from_https_by_their_family() -> None:
    https = policy(networkPolicy__blockedCidrs=["169.254.0.0/16", "fd00::/8"])["egress"][1]["to"]
    assert [peer["ipBlock"].get("except") for peer in https] == [["169.254.0.0/16"], ["fd00::/8"]]
    assert "except" not in policy(networkPolicy__blockedCidrs=[])["egress"][1]["to"][0]["ipBlock"]


@pytest.mark.parametrize(
    ("url", "port"), [("http://10.0.0.1:4566", 4566), ("http://collector", 80), ("https://collector/v1", 443)]
)
def test_an_address_that_was_asked_for_is_reached(url: str, port: int) -> None:
    for name in ("aws__endpointUrl", "observability__otlpEndpoint"):
        assert policy(**{name: url})["egress"][-1] == {"ports": [{"protocol": "TCP", "port": port}]}


def test_scrapers_are_told_where_to_look() -> None:
    spec = rendering.objects(observability__scrapeAnnotations=True)["Deployment"]["spec"]["template"]
    told = {name: value for name, value in spec["metadata"]["annotations"].items() if name.startswith("prometheus.io")}
    assert told == {"prometheus.io/scrape": "true", "prometheus.io/port": "8081", "prometheus.io/path": "/metrics"}
    monitor = rendering.objects(observability__podMonitor={"enabled": True, "labels": {"release": "a"}})["PodMonitor"]
    assert monitor["metadata"]["labels"]["release"] == "a"
    assert monitor["spec"]["podTargetLabels"] == ["app.kubernetes.io/instance"]
    assert {port["name"] for port in rendering.agent()["ports"]} == {"health"}
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "health", "path": "/metrics", "interval": "30s"}]
