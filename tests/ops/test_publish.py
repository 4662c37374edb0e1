"""What is published is what `pulumi up` would build, under the same tag; the chart really goes to a registry."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components import naming
from components.image_contexts import context
from components.settings_cluster import NEEDED_WITHOUT_NAT
from local import helm
from local.emulator import Emulator
from ops.errors import OpsError
from ops.publish import Publisher
from tests.components.example import stack
from tests.ops.test_cli import admin
from tests.support.clock import WaitedClock
from tests.support.engine import ROOT

SETTINGS = stack(agent={}, runtimes=[{"name": "sd15", "type": "comfyui"}])
PROJECT = naming.image_project(SETTINGS)
ENVIRONMENT = {"type": "LINUX_CONTAINER", "image": "standard", "computeType": "BUILD_GENERAL1_MEDIUM"}


@pytest.fixture
def aws(emulator: Emulator) -> Emulator:
    """The stack's repositories, its project and the bucket of its contexts."""
    emulator.reset()
    emulator.client("s3").create_bucket(
        Bucket="contexts-1", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
    )
    for name in ("agent", "comfyui", "sd-runtime"):
        emulator.client("ecr").create_repository(
            repositoryName=naming.repository(SETTINGS, name), imageTagMutability="IMMUTABLE"
        )
    emulator.client("codebuild").create_project(
        name=PROJECT,
        source={"type": "S3", "location": "contexts-1/contexts/"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment=ENVIRONMENT,
        serviceRole="arn:aws:iam::123456789012:role/images",
    )
    return emulator


def put(emulator: Emulator, name: str, tag: str) -> str:
    """Digest of an image that is there with the tag."""
    made = emulator.client("ecr").put_image(
        repositoryName=naming.repository(SETTINGS, name), imageManifest=json.dumps({"of": name}), imageTag=tag
    )
    return str(made["image"]["imageId"]["imageDigest"])


class Building:
    """The emulator, whose builds leave an image; by themselves they are only a record."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.built: list[str] = []
        self.sources: list[str] = []  # of what was copied

    def __call__(self, service: str) -> Any:
        client = self._emulator.client(service)
        return _Starting(client, self) if service == "codebuild" else client

    def leave_image(self, variables: dict[str, str]) -> None:
        name = variables["REPOSITORY"].rpartition("/")[2]
        put(self._emulator, name, variables["TAG"])
        self.built.append(name)
        self.sources += [variables["SOURCE"]] if "SOURCE" in variables else []


class _Starting:
    def __init__(self, client: Any, building: Building) -> None:
        self._client, self._building = client, building

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def start_build(self, **given: Any) -> Any:
        started = self._client.start_build(**given)
        self._building.leave_image({each["name"]: each["value"] for each in given["environmentVariablesOverride"]})
        return started


def publisher(clients: Any, said: list[str] | None = None) -> Publisher:
    tell = said.append if said is not None else lambda _said: None
    return Publisher(SETTINGS, clients, ROOT, clock=WaitedClock(), tell=tell)


def test_each_image_is_built_once_and_told_by_its_digest(aws: Emulator) -> None:
    clients = Building(aws)
    first = publisher(clients).images()
    assert [(each.name, each.is_new) for each in first] == [("agent", True), ("comfyui", True)]
    assert clients.built == ["agent", "comfyui"]
    for each in first:
        repository, _, digest = each.reference.partition("@")
        assert repository.endswith(f"/sd-async-dev/{each.name}")
        [found] = aws.client("ecr").describe_images(
            repositoryName=naming.repository(SETTINGS, each.name),
            imageIds=[{"imageTag": context(ROOT, each.name).tag}],
        )["imageDetails"]
        assert digest == found["imageDigest"]
    again = publisher(clients).images()
    assert [(each.reference, each.is_new) for each in again] == [(each.reference, False) for each in first]
    assert clients.built == ["agent", "comfyui"], "nothing changed, so nothing was built"


def test_what_is_built_is_the_context_that_pulumi_up_would_send(aws: Emulator) -> None:
    publisher(Building(aws)).images()
    made = context(ROOT, "agent")
    sent = aws.client("s3").get_object(Bucket="contexts-1", Key=f"contexts/{made.archive.name}")["Body"].read()
    assert sent == made.archive.read_bytes()


def test_what_nodes_have_no_way_to_is_copied_as_pulumi_up_would_copy_it(aws: Emulator) -> None:
    private = stack(
        network={"nat": "none", "endpoints": list(NEEDED_WITHOUT_NAT)},
        cluster={"create": True, "registries": {"github": "mirror.example"}},
    )
    for name in ("karpenter", "fluent-bit"):
        aws.client("ecr").create_repository(repositoryName=naming.repository(private, name))
    clients = Building(aws)
    made = Publisher(private, clients, ROOT, clock=WaitedClock(), tell=lambda _said: None).images()
    assert [(each.name, each.is_new) for each in made] == [("karpenter", True), ("fluent-bit", True)]
    assert clients.sources == [
        "public.ecr.aws/karpenter/controller:1.14.1",
        "public.ecr.aws/aws-observability/aws-for-fluent-bit:3.2.1",
    ]
    for each, tag in zip(made, ("1.14.1", "3.2.1"), strict=True):
        repository = naming.repository(private, each.name)
        [found] = aws.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])[
            "imageDetails"
        ]
        assert each.reference.endswith(f"/{repository}@{found['imageDigest']}")


def test_a_stack_that_names_all_its_images_builds_none(aws: Emulator) -> None:
    said: list[str] = []
    named = Publisher(stack(), aws.client, ROOT, clock=WaitedClock(), tell=said.append)
    assert named.images() == []
    assert said == ["every image is named by a setting: there is none to build"]


def test_without_the_project_one_sentence_says_how_to_get_it(emulator: Emulator) -> None:
    emulator.reset()
    with pytest.raises(OpsError, match=r"no CodeBuild project sd-async-dev-images: run `pulumi up` with images\.build"):
        publisher(emulator.client).images()


def test_the_chart_is_in_the_registry_and_a_version_is_pushed_once(aws: Emulator) -> None:
    said: list[str] = []
    host = aws.endpoint.removeprefix("http://")
    first = publisher(aws.client, said).chart(helm.run, host)
    [found] = aws.client("ecr").describe_images(repositoryName="sd-async-dev/sd-runtime")["imageDetails"]
    assert first.reference.endswith(f"/sd-async-dev/sd-runtime@{found['imageDigest']}")
    version = helm.run(["show", "chart", str(helm.CHART)]).partition("version: ")[2].split()[-1]
    assert found["imageTags"] == [version]
    assert (first.is_new, said) == (True, [])
    again = publisher(aws.client, said).chart(helm.run, host)
    assert (again.reference, again.is_new) == (first.reference, False)
    assert said == [f"sd-runtime {version} is there already; a changed chart needs another version in Chart.yaml"]


def test_the_token_is_no_argument_that_others_could_see_and_stays_nowhere(aws: Emulator) -> None:
    calls: list[tuple[list[str], str]] = []

    def recording(arguments: Sequence[str], stdin: str) -> str:
        calls.append((list(arguments), stdin))
        return helm.run(arguments, stdin)

    publisher(aws.client).chart(recording, aws.endpoint.removeprefix("http://"))
    [(login, password)] = [(arguments, stdin) for arguments, stdin in calls if arguments[:2] == ["registry", "login"]]
    assert password
    assert not [argument for arguments, _ in calls for argument in arguments if password in argument]
    assert not Path(login[login.index("--registry-config") + 1]).exists()


def test_the_command_prints_the_chart_as_json(aws: Emulator) -> None:
    done = admin("publish", "--only", "chart", "--json", "--endpoint-url", aws.endpoint, emulator=aws)
    assert done.returncode == 0, done.stderr
    [chart] = json.loads(done.stdout)
    assert (chart["name"], chart["is_new"]) == ("sd-runtime", True)
    told = admin("publish", "--only", "chart", "--endpoint-url", aws.endpoint, emulator=aws)
    assert told.stdout == f"same  sd-runtime  {chart['reference']}\n"


def test_a_stack_that_was_never_deployed_is_one_sentence(emulator: Emulator) -> None:
    emulator.reset()
    done = admin("publish", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert done.returncode == 2
    assert "sd-async-dev can't be published to: " in done.stderr
    assert "Traceback" not in done.stderr
