"""The models bucket as volumes: each runtime sees its own folder, read-only, through Mountpoint for S3."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core import v1 as core

from components import naming, nodepools
from components.settings import Settings
from components.settings_runtimes import RuntimeSettings

DRIVER = "s3.csi.aws.com"
END_MARGIN_S = 900  # as the nodes whose pods use a volume
# What S3 holds has no size; Kubernetes wants one and compares only the claim's with the volume's.
NOMINAL_SIZE = "1Ti"


@dataclass(frozen=True, kw_only=True)
class ModelVolumesArgs:
    settings: Settings
    models_bucket: pulumi.Input[str]


class ModelVolumes(pulumi.ComponentResource):
    """claims: by runtime, the name of its claim in the runtimes' namespace."""

    def __init__(self, name: str, args: ModelVolumesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sd:models:ModelVolumes", name, None, opts)
        self._args = args
        namespace = args.settings.kubernetes.namespace
        space = core.Namespace("runtimes", metadata={"name": namespace}, opts=pulumi.ResourceOptions(parent=self))
        self.claims = {
            runtime.name: self._volume(runtime, namespace, space)
            for runtime in args.settings.runtimes
            if runtime.models.mode == "mount"
        }
        self.register_outputs({})

    def _volume(self, runtime: RuntimeSettings, namespace: str, space: core.Namespace) -> str:
        label, settings = f"models-{runtime.name}", self._args.settings
        end_s = nodepools.node_grace_s(settings, runtime.pool) + END_MARGIN_S
        opts = pulumi.ResourceOptions(
            parent=self, depends_on=[space], custom_timeouts=pulumi.CustomTimeouts(delete=f"{end_s}s")
        )
        volume = core.PersistentVolume(
            label,
            metadata={"name": naming.prefixed(settings, label)},
            spec=self._volume_spec(runtime, {"namespace": namespace, "name": label}),
            opts=opts,
        )
        core.PersistentVolumeClaim(
            label,
            metadata={"name": label, "namespace": namespace},
            spec={
                "access_modes": ["ReadOnlyMany"],
                "storage_class_name": "",  # bound by name, made by nobody
                "volume_name": volume.metadata.apply(lambda known: known.name),
                "resources": {"requests": {"storage": NOMINAL_SIZE}},
            },
            opts=opts,
        )
        return label

    def _volume_spec(
        self, runtime: RuntimeSettings, claim: core.ObjectReferenceArgsDict
    ) -> core.PersistentVolumeSpecArgsDict:
        settings = self._args.settings
        return {
            "access_modes": ["ReadOnlyMany"],
            "storage_class_name": "",  # bound by name, made by nobody
            "capacity": {"storage": NOMINAL_SIZE},
            "persistent_volume_reclaim_policy": "Retain",
            "claim_ref": claim,
            "mount_options": [
                f"region {settings.region}",
                f"prefix {naming.models_prefix(runtime.name)}",
                "read-only",
                "allow-other",
            ],
            "csi": {
                "driver": DRIVER,
                # The driver takes two volumes of one handle for the same mount
                "volume_handle": naming.volume_handle(settings, runtime.name),
                "volume_attributes": {
                    "bucketName": self._args.models_bucket,
                    "authenticationSource": "pod",  # the runtime's role, which reads no other's folder
                    "cache": "emptyDir",
                    "cacheEmptyDirSizeLimit": f"{runtime.models.cache_gib}Gi",
                },
            },
        }
