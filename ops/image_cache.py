"""A snapshot of a Bottlerocket data volume with the runtimes' images in it, so that a new node pulls nothing.

The way that AWS documents (aws-samples/bottlerocket-images-cache): an instance with the nodes' system, images pulled
over SSM, the instance stopped, its data volume snapshot, the instance gone. Two things differ: the nodes' own
snapshotter is used, since a node looks for unpacked images where its own keeps them, and the nodes' own role.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import image_contexts, naming, nodepools
from components.asking import Clients, Clock
from components.image_codebuild import digest_of
from components.image_contexts import ContextError
from components.settings import Settings
from ops.errors import OpsError

SETTING = "karpenter.image_snapshot_id"  # what gives a snapshot to new nodes
POLL_S = 5.0
DATA_DEVICE, ROOT_DEVICE = "/dev/xvdb", "/dev/xvda"
READY_WAIT_S = 600  # of an instance until SSM hears of it; a minute is usual
STOP_WAIT_S = 900
PULL_WAIT_S = 3600  # of one image
SNAPSHOT_WAIT_S = 7200

_SHELTIE = "apiclient exec admin sheltie"  # a root shell of the host, from the container that SSM reaches
_CTR = f"{_SHELTIE} ctr -a /run/containerd/containerd.sock -n k8s.io"
_ADMIN = "[settings.host-containers.admin]\nenabled = true\n\n"
_ENDED = {"Success", "Failed", "TimedOut", "Cancelled", "Undeliverable", "Terminated"}


@dataclass(frozen=True)
class Place:
    """Where the instance runs. subnet: one with a way to ECR and SSM; the stack's own when left out."""

    instance_type: str = "m5.large"
    subnet: str | None = None


def references(settings: Settings, clients: Clients, root: Path) -> list[str]:
    """What the stack's releases run, as pods name it: `repository@digest` of what was built, names as given.

    Raises: OpsError, when an image has not been built yet.
    """
    built = {name: _built(settings, clients, root, name) for name in image_contexts.wanted(settings)}
    named = [settings.agent.image or built[image_contexts.AGENT]]
    named += [runtime.image or built[runtime.type.value] for runtime in settings.runtimes]
    return list(dict.fromkeys(named))


def _built(settings: Settings, clients: Clients, root: Path, name: str) -> str:
    repository = naming.repository(settings, name)
    try:
        tag = image_contexts.context(root, name).tag
        digest = digest_of(clients("ecr"), repository, tag)
        [found] = clients("ecr").describe_repositories(repositoryNames=[repository])["repositories"]
    except (ClientError, BotoCoreError, ContextError) as error:
        raise OpsError(f"The image of {name} can't be looked up: {error}") from error
    if digest is None:
        raise OpsError(f"{repository} has no image {tag} yet; run `pulumi up` or `sd-async admin publish` first.")
    return f"{found['repositoryUri']}@{digest}"


class ImageCache:
    """Builds snapshots for one stack. tell: hears what is being done. Every method raises OpsError."""

    def __init__(self, settings: Settings, clients: Clients, clock: Clock, tell: Callable[[str], None]) -> None:
        self._settings, self._clients, self._clock, self._tell = settings, clients, clock, tell

    def build(self, images: list[str], place: Place) -> str:
        """Id of the snapshot. Nothing else is left, however it ends: the instance goes, and so does half a snapshot."""
        try:
            instance = self._launch(place)
            try:
                volume = self._filled(instance, images)
                return self._snapshot(volume, images)
            finally:
                self._remove("The instance", instance, "terminate_instances", InstanceIds=[instance])
        except (ClientError, BotoCoreError) as error:
            raise OpsError(f"The image cache of {naming.prefixed(self._settings)} can't be built: {error}") from error

    def _launch(self, place: Place) -> str:
        """An instance with the nodes' system, settings, role and data volume, tagged as the stack's."""
        settings, ec2 = self._settings, self._clients("ec2")
        version = f"aws-k8s-{settings.cluster.version}/x86_64/{settings.karpenter.bottlerocket}"
        image = self._clients("ssm").get_parameter(Name=f"/aws/service/bottlerocket/{version}/image_id")
        made = ec2.run_instances(
            ImageId=image["Parameter"]["Value"],
            InstanceType=place.instance_type,
            MinCount=1,
            MaxCount=1,
            SubnetId=place.subnet or self._subnet(),
            IamInstanceProfile={"Name": naming.prefixed(settings, "gpu")},
            UserData=_ADMIN + nodepools.USER_DATA,
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            BlockDeviceMappings=[
                _volume(ROOT_DEVICE, nodepools.ROOT_VOLUME_GIB),
                _volume(DATA_DEVICE, settings.karpenter.data_volume_gib),
            ],
            TagSpecifications=[self._tags("instance"), self._tags("volume")],
        )
        instance = str(made["Instances"][0]["InstanceId"])
        self._tell(f"started {instance} with Bottlerocket {settings.karpenter.bottlerocket}")
        return instance

    def _subnet(self) -> str:
        if self._settings.network.private_subnet_ids:
            return self._settings.network.private_subnet_ids[0]
        [(key, value)] = naming.discovery(self._settings).items()
        found = self._clients("ec2").describe_subnets(Filters=[{"Name": f"tag:{key}", "Values": [value]}])["Subnets"]
        if not found:
            raise OpsError(f"No subnet has the tag {key}={value}: run `pulumi up` first, or name one with --subnet.")
        return str(found[0]["SubnetId"])

    def _filled(self, instance: str, images: list[str]) -> str:
        """The instance's data volume, with the images in it and nobody who writes to it any more."""
        self._until(lambda: self._is_online(instance), READY_WAIT_S, f"{instance} is not heard of by SSM")
        self._command(instance, f"{_SHELTIE} systemctl stop kubelet", "stopping the kubelet")
        for image in images:
            pull = f"{_CTR} images pull --snapshotter soci --label io.cri-containerd.image=managed"
            self._command(instance, f"{pull} --platform amd64{self._login(image)} {image}", f"pulling {image}")
        ec2 = self._clients("ec2")
        ec2.stop_instances(InstanceIds=[instance])
        self._tell(f"stopping {instance}")
        self._until(lambda: self._described(instance)["State"]["Name"] == "stopped", STOP_WAIT_S, "it does not stop")
        mappings = self._described(instance)["BlockDeviceMappings"]
        [volume] = [each["Ebs"]["VolumeId"] for each in mappings if each["DeviceName"] == DATA_DEVICE]
        return str(volume)

    def _is_online(self, instance: str) -> bool:
        filters = [{"Key": "InstanceIds", "Values": [instance]}]
        found = self._clients("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
        return bool(found) and found[0]["PingStatus"] == "Online"

    def _login(self, image: str) -> str:
        """The operator's token for ECR, 12 h long in SSM's history too (0087)."""
        if ".dkr.ecr." not in image.partition("/")[0]:
            return ""
        granted = self._clients("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return f" --user {base64.b64decode(granted).decode()}"

    def _command(self, instance: str, command: str, doing: str) -> None:
        self._tell(doing)
        ssm = self._clients("ssm")
        sent = ssm.send_command(
            InstanceIds=[instance],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": [command], "executionTimeout": [str(PULL_WAIT_S)]},
            Comment=doing[:100],
        )["Command"]["CommandId"]
        answer: dict[str, Any] = {}

        def has_ended() -> bool:
            try:
                answer.update(ssm.get_command_invocation(CommandId=sent, InstanceId=instance))
            except ssm.exceptions.InvocationDoesNotExist:  # not there yet: it is made a moment after the command
                return False
            return answer["Status"] in _ENDED

        self._until(has_ended, PULL_WAIT_S, f"{doing} does not end")
        if answer["Status"] != "Success":
            said = (answer.get("StandardErrorContent") or answer.get("StandardOutputContent") or "nothing").strip()
            raise OpsError(f"The instance failed in {doing} ({answer['Status']}): {said[-500:]}")

    def _snapshot(self, volume: str, images: list[str]) -> str:
        ec2 = self._clients("ec2")
        made = ec2.create_snapshot(
            VolumeId=volume,
            Description=f"Images of {naming.prefixed(self._settings)}: {', '.join(images)}"[:255],
            TagSpecifications=[self._tags("snapshot")],
        )
        snapshot, progress = str(made["SnapshotId"]), ""

        def is_complete() -> bool:
            nonlocal progress
            [found] = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
            if found["State"] == "error":
                raise OpsError(f"{snapshot} could not be made: {found.get('StateMessage', 'EC2 does not say why')}.")
            if found.get("Progress", progress) != progress:
                progress = found["Progress"]
                self._tell(f"{snapshot}: {progress}")
            return bool(found["State"] == "completed")

        is_whole = False
        try:
            self._until(is_complete, SNAPSHOT_WAIT_S, f"{snapshot} is not complete")
            is_whole = True
        finally:  # after an interrupt too: half a snapshot is of use to nobody, and is paid for
            if not is_whole:
                self._remove("The snapshot", snapshot, "delete_snapshot", SnapshotId=snapshot)
        return snapshot

    def _described(self, instance: str) -> dict[str, Any]:
        found = self._clients("ec2").describe_instances(InstanceIds=[instance])
        described: dict[str, Any] = found["Reservations"][0]["Instances"][0]
        return described

    def _until(self, is_so: Callable[[], bool], patience_s: float, otherwise: str) -> None:
        deadline = self._clock.now() + patience_s
        while not is_so():
            if self._clock.now() >= deadline:
                raise OpsError(f"After {patience_s / 60:g} minutes, {otherwise}; nothing of it is left. Try it again.")
            self._clock.sleep(POLL_S)

    def _remove(self, what: str, name: str, call: str, **given: Any) -> None:
        self._tell(f"removing {name}")
        try:
            getattr(self._clients("ec2"), call)(**given)
        except (ClientError, BotoCoreError) as error:
            raise OpsError(f"{what} {name} is still there and costs money ({error}); remove it by hand.") from error

    def _tags(self, kind: str) -> dict[str, Any]:
        tags = naming.tags(self._settings) | {"Name": naming.prefixed(self._settings, "image-cache")}
        return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _volume(device: str, size_gib: int) -> dict[str, Any]:
    ebs = {"VolumeSize": size_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": device, "Ebs": ebs}
