"""A snapshot is made the documented way, and however it ends, no instance and no half snapshot is left."""

import base64
import json
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from components import naming, nodepools
from components.image_contexts import context
from local.emulator import Emulator
from ops.errors import OpsError
from ops.image_cache import READY_WAIT_S, SETTING, ImageCache, Place, references
from tests.components.example import AGENT, stack
from tests.ops.test_cli import admin
from tests.support.clock import WaitedClock
from tests.support.engine import ROOT

SETTINGS = stack(cluster={"create": True})
KEYS: dict[str, Any] = {"region_name": "us-west-2", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
OURS = "123456789012.dkr.ecr.us-west-2.amazonaws.com/sd-async-dev/comfyui@sha256:" + "a" * 64
PUBLIC = "registry.example/agent:1"
INSTANCE, SNAPSHOT, VOLUME = "i-0123456789abcdef0", "snap-0123456789abcdef0", "vol-0123456789abcdef0"
SHELTIE = "apiclient exec admin sheltie"
CTR = f"{SHELTIE} ctr -a /run/containerd/containerd.sock -n k8s.io"
PULL = f"{CTR} images pull --snapshotter soci --label io.cri-containerd.image=managed --platform amd64"
TOKEN = base64.b64encode(b"AWS:token").decode()


class Clock(WaitedClock):
    """Interrupted after so many seconds, if told so."""

    def __init__(self, interrupted_at: float = float("inf")) -> None:
        super().__init__()
        self._end = interrupted_at

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.seconds >= self._end:
            raise KeyboardInterrupt


class Aws:
    """Clients whose answers are given, in the order of a build that goes well."""

    def __init__(self) -> None:
        made = {name: boto3.client(name, **KEYS) for name in ("ec2", "ssm", "ecr")}
        self.ec2, self.ssm, self.ecr = (Stubber(made[name]) for name in ("ec2", "ssm", "ecr"))
        self.clients: Callable[[str], Any] = made.__getitem__
        for stub in (self.ec2, self.ssm, self.ecr):
            stub.activate()

    def launched(self) -> None:
        name = "/aws/service/bottlerocket/aws-k8s-1.36/x86_64/1.68.0/image_id"
        self.ssm.add_response("get_parameter", {"Parameter": {"Value": "ami-1"}}, {"Name": name})
        found = {"Subnets": [{"SubnetId": "subnet-1"}, {"SubnetId": "subnet-2"}]}
        wanted = [{"Name": "tag:karpenter.sh/discovery", "Values": ["sd-async-dev"]}]
        self.ec2.add_response("describe_subnets", found, {"Filters": wanted})
        self.ec2.add_response("run_instances", {"Instances": [{"InstanceId": INSTANCE}]}, RUN)

    def online(self, *pings: str) -> None:
        for ping in pings:
            found = [{"InstanceId": INSTANCE, "PingStatus": ping}] if ping else []
            asked = {"Filters": [{"Key": "InstanceIds", "Values": [INSTANCE]}]}
            self.ssm.add_response("describe_instance_information", {"InstanceInformationList": found}, asked)

    def command(self, command: str, *states: str, said: str = "") -> None:
        sent = {
            "InstanceIds": [INSTANCE],
            "DocumentName": "AWS-RunShellScript",
            "Parameters": {"commands": [command], "executionTimeout": ["3600"]},
            "Comment": ANY,
        }
        self.ssm.add_response("send_command", {"Command": {"CommandId": "c" * 36}}, sent)
        for state in states:
            asked = {"CommandId": "c" * 36, "InstanceId": INSTANCE}
            if state:
                self.ssm.add_response("get_command_invocation", {"Status": state, "StandardErrorContent": said}, asked)
            else:
                self.ssm.add_client_error("get_command_invocation", "InvocationDoesNotExist", expected_params=asked)

    def pulled(self) -> None:
        self.command(f"{SHELTIE} systemctl stop kubelet", "Success")
        self.ecr.add_response("get_authorization_token", {"authorizationData": [{"authorizationToken": TOKEN}]})
        self.command(f"{PULL} --user AWS:token {OURS}", "", "InProgress", "Success")
        self.command(f"{PULL} {PUBLIC}", "Success")

    def stopped(self) -> None:
        self.ec2.add_response("stop_instances", {}, {"InstanceIds": [INSTANCE]})
        disks = [
            {"DeviceName": device, "Ebs": {"VolumeId": volume}}
            for device, volume in (("/dev/xvda", "vol-other"), ("/dev/xvdb", VOLUME))
        ]
        for state in ("stopping", "stopped", "stopped"):
            described = {"InstanceId": INSTANCE, "State": {"Name": state}, "BlockDeviceMappings": disks}
            answer = {"Reservations": [{"Instances": [described]}]}
            self.ec2.add_response("describe_instances", answer, {"InstanceIds": [INSTANCE]})

    def snapshot(self, *states: tuple[str, str]) -> None:
        asked = {"VolumeId": VOLUME, "Description": ANY, "TagSpecifications": [tags("snapshot")]}
        self.ec2.add_response("create_snapshot", {"SnapshotId": SNAPSHOT}, asked)
        for state, progress in states:
            found = {"Snapshots": [{"SnapshotId": SNAPSHOT, "State": state, "Progress": progress}]}
            self.ec2.add_response("describe_snapshots", found, {"SnapshotIds": [SNAPSHOT]})

    def terminated(self) -> None:
        self.ec2.add_response("terminate_instances", {}, {"InstanceIds": [INSTANCE]})

    def all_asked(self) -> None:
        for stub in (self.ec2, self.ssm, self.ecr):
            stub.assert_no_pending_responses()


def tags(kind: str) -> dict[str, Any]:
    given = naming.tags(SETTINGS) | {"Name": "sd-async-dev-image-cache"}
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in given.items()]}


def disk(device: str, size_gib: int) -> dict[str, Any]:
    ebs = {"VolumeSize": size_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": device, "Ebs": ebs}


RUN: dict[str, Any] = {
    "ImageId": "ami-1",
    "InstanceType": "m5.large",
    "MinCount": 1,
    "MaxCount": 1,
    "SubnetId": "subnet-1",
    "IamInstanceProfile": {"Name": "sd-async-dev-gpu"},
    "UserData": f"[settings.host-containers.admin]\nenabled = true\n\n{nodepools.USER_DATA}",
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    "BlockDeviceMappings": [disk("/dev/xvda", 4), disk("/dev/xvdb", SETTINGS.karpenter.data_volume_gib)],
    "TagSpecifications": [tags("instance"), tags("volume")],
}


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Everything that was to be asked has been asked when the test ends: what is to be removed, was."""
    made = Aws()
    yield made
    made.all_asked()


def built(aws: Aws, clock: Clock | None = None, said: list[str] | None = None) -> str:
    cache = ImageCache(SETTINGS, aws.clients, clock or Clock(), said.append if said is not None else lambda _said: None)
    return cache.build([OURS, PUBLIC], Place())


def test_images_are_pulled_as_nodes_would_and_the_volume_is_kept_and_nothing_else(aws: Aws) -> None:
    said: list[str] = []
    aws.launched()
    aws.online("", "ConnectionLost", "Online")
    aws.pulled()
    aws.stopped()
    aws.snapshot(("pending", "10%"), ("pending", "10%"), ("completed", "100%"))
    aws.terminated()
    assert built(aws, said=said) == SNAPSHOT
    assert said == [
        f"started {INSTANCE} with Bottlerocket 1.68.0",
        "stopping the kubelet",
        f"pulling {OURS}",
        f"pulling {PUBLIC}",
        f"stopping {INSTANCE}",
        f"{SNAPSHOT}: 10%",
        f"{SNAPSHOT}: 100%",
        f"removing {INSTANCE}",
    ]


def test_the_instance_has_the_nodes_snapshotter_and_a_shell() -> None:
    settings = tomllib.loads(str(RUN["UserData"]))["settings"]
    assert settings["host-containers"] == {"admin": {"enabled": True}}
    assert settings["container-runtime"]["snapshotter"] == "soci"
    assert "--snapshotter soci" in PULL


def test_an_image_that_can_not_be_pulled_is_told_in_its_own_words_and_the_instance_goes(aws: Aws) -> None:
    aws.launched()
    aws.online("Online")
    aws.command(f"{SHELTIE} systemctl stop kubelet", "Success")
    aws.ecr.add_response("get_authorization_token", {"authorizationData": [{"authorizationToken": TOKEN}]})
    aws.command(f"{PULL} --user AWS:token {OURS}", "Failed", said="ctr: not found\n")
    aws.terminated()
    with pytest.raises(OpsError, match=r"^The instance failed in pulling .*comfyui@.* \(Failed\): ctr: not found$"):
        built(aws)


def test_an_instance_that_ssm_never_hears_of_is_given_up_and_goes(aws: Aws) -> None:
    aws.launched()
    aws.online(*[""] * (READY_WAIT_S // 5 + 1))
    aws.terminated()
    with pytest.raises(OpsError, match=f"After 10 minutes, {INSTANCE} is not heard of by SSM; nothing of it is left"):
        built(aws)


def test_an_interrupt_leaves_no_instance(aws: Aws) -> None:
    aws.launched()
    aws.online("")
    aws.terminated()
    with pytest.raises(KeyboardInterrupt):
        built(aws, Clock(interrupted_at=1))


def test_an_interrupt_leaves_no_half_snapshot_either(aws: Aws) -> None:
    aws.launched()
    aws.online("Online")
    aws.pulled()
    aws.stopped()
    aws.snapshot(("pending", "10%"))
    aws.ec2.add_response("delete_snapshot", {}, {"SnapshotId": SNAPSHOT})
    aws.terminated()
    with pytest.raises(KeyboardInterrupt):
        built(aws, Clock(interrupted_at=20))


def test_a_snapshot_that_ec2_can_not_make_is_told_and_goes(aws: Aws) -> None:
    aws.launched()
    aws.online("Online")
    aws.pulled()
    aws.stopped()
    aws.snapshot(("error", "10%"))
    aws.ec2.add_response("delete_snapshot", {}, {"SnapshotId": SNAPSHOT})
    aws.terminated()
    with pytest.raises(OpsError, match=f"{SNAPSHOT} could not be made: EC2 does not say why"):
        built(aws)


def test_an_instance_that_can_not_be_removed_is_named(aws: Aws) -> None:
    aws.launched()
    aws.online("Online")
    aws.ssm.add_client_error("send_command", "InvalidInstanceId")
    aws.ec2.add_client_error("terminate_instances", "UnauthorizedOperation")
    with pytest.raises(OpsError, match=rf"The instance {INSTANCE} is still there and costs money .*by hand\.$"):
        built(aws)


def test_without_a_subnet_nothing_is_started(aws: Aws) -> None:
    aws.ssm.add_response("get_parameter", {"Parameter": {"Value": "ami-1"}})
    aws.ec2.add_response("describe_subnets", {"Subnets": []})
    with pytest.raises(OpsError, match=r"No subnet has the tag karpenter\.sh/discovery=sd-async-dev: run `pulumi up`"):
        built(aws)


def test_what_is_cached_is_what_releases_name(emulator: Emulator) -> None:
    emulator.reset()
    settings = stack(runtimes=[{"name": name, "type": "comfyui"} for name in ("sd15", "sdxl")])
    ecr = emulator.client("ecr")
    url = ecr.create_repository(repositoryName="sd-async-dev/comfyui")["repository"]["repositoryUri"]
    with pytest.raises(OpsError, match=r"sd-async-dev/comfyui has no image src-\w+ yet; run `pulumi up` or"):
        references(settings, emulator.client, ROOT)
    made = ecr.put_image(
        repositoryName="sd-async-dev/comfyui", imageManifest="{}", imageTag=context(ROOT, "comfyui").tag
    )
    digest = made["image"]["imageId"]["imageDigest"]
    assert references(settings, emulator.client, ROOT) == [AGENT, f"{url}@{digest}"]


def test_the_command_says_in_one_sentence_what_is_missing(emulator: Emulator) -> None:
    emulator.reset()
    done = admin("image-cache", "build", "--json", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The image of agent can't be looked up" in done.stderr


def test_the_setting_that_is_printed_is_one() -> None:
    section, _, name = SETTING.partition(".")
    assert getattr(stack(**{section: {name: SNAPSHOT}}), section).image_snapshot_id == SNAPSHOT
    schema = json.loads((ROOT / "docs/stack.schema.json").read_text())
    assert name in json.dumps(schema)
