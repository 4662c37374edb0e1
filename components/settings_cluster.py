"""Settings of the cluster and of what it needs around it."""

# ruff: noqa: RUF009 - `checked` is `dataclasses.field` with a check
from dataclasses import dataclass

from components.schema import checked, nested, text


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """context: of the kubeconfig, where runtimes are released; None releases none."""

    context: str | None = checked(
        text(r"\S{1,253}", "context of a kubeconfig: 1 to 253 characters without spaces"), None
    )
    namespace: str = checked(
        text(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "namespace: up to 63 of a-z, 0-9 and inner `-`"), "sd-async"
    )


@dataclass(frozen=True, kw_only=True)
class ClusterSections:
    """The sections of this file, as the stack file names them."""

    kubernetes: KubernetesSettings = checked(nested(KubernetesSettings), KubernetesSettings())
