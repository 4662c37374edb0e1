"""Images of the cluster's controllers that a stack copies to itself, since its nodes have no way to where they are."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.settings import Settings
from components.settings_cluster import unreachable_registries
from components.settings_platform import FLUENT_BIT_IMAGES

KARPENTER, FLUENT_BIT = "karpenter", "fluent-bit"
# By the names of their copies, KEDA's images; one chart starts all three
KEDA = {"keda": "keda", "keda-metrics": "keda-metrics-apiserver", "keda-webhooks": "keda-admission-webhooks"}


@dataclass(frozen=True)
class Copy:
    """name: of its repository here. source: where it is, with registry and repository. tag: there, and here too."""

    name: str
    source: str
    tag: str


def copies(settings: Settings) -> tuple[Copy, ...]:
    """None where nodes have a way out, or mirrors are named. Tags follow from the versions of the charts."""
    return tuple(_copies(settings))


def _copies(settings: Settings) -> Iterator[Copy]:
    registries = unreachable_registries(settings)
    if public := registries.get("ecr_public"):
        yield Copy(KARPENTER, f"{public}/karpenter/controller", settings.karpenter.version)
        if settings.observability.logs == "fluent-bit":
            tag = FLUENT_BIT_IMAGES[settings.observability.fluent_bit]
            yield Copy(FLUENT_BIT, f"{public}/aws-observability/aws-for-fluent-bit", tag)
    if github := registries.get("github"):
        for name, image in KEDA.items():
            yield Copy(name, f"{github}/kedacore/{image}", settings.keda.version)
