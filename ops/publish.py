"""Images and the chart into the stack's repositories, before `pulumi up` or for clusters that it does not know.

An image's tag follows from what it is built from, as in `pulumi up`, which then finds it built.
"""

import base64
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from components import image_contexts, naming
from components.asking import Clients, Clock
from components.image_codebuild import Builder, BuildError, Order, digest_of
from components.image_contexts import ContextError
from components.settings import Settings
from ops.errors import OpsError

CHART = Path("helm/sd-runtime")

Helm = Callable[[Sequence[str], str], str]  # stdout of `helm ARGUMENTS` with this text on stdin


@dataclass(frozen=True)
class Published:
    """reference: repository and digest. is_new: whether it was not there before."""

    name: str
    reference: str
    is_new: bool


class Publisher:
    """One stack's. root: the project's folder. tell: hears what is being done. Every method raises OpsError."""

    def __init__(
        self, settings: Settings, clients: Clients, root: Path, *, clock: Clock, tell: Callable[[str], None]
    ) -> None:
        self._settings, self._clients, self._root, self._tell = settings, clients, root, tell
        self._builder = Builder(clients, clock, tell)

    def images(self) -> list[Published]:
        """Those that no setting names and those that are copied, all at once."""
        try:
            contexts = image_contexts.contexts(self._root, self._settings)
            if not contexts:
                self._tell("every image is named by a setting: there is none to build")
                return []
            bucket = self._contexts_bucket()
            orders = {name: self._order(name, bucket, context.order) for name, context in contexts.items()}
            builds = {name: self._builder.begin(order) for name, order in orders.items()}
            return [
                Published(
                    name, f"{order.repository_url}@{self._builder.finish(order, builds[name])}", bool(builds[name])
                )
                for name, order in orders.items()
            ]
        except (BuildError, ContextError) as error:
            raise OpsError(str(error)) from error

    def chart(self, helm: Helm, registry: str | None = None) -> Published:
        """The chart as an OCI artifact. A version is pushed once: its tag never changes.

        registry: another place for the push than the repository's own, in the clear: the emulator's.
        """
        url = self._repository_url(CHART.name)
        with tempfile.TemporaryDirectory() as scratch:
            helm(["package", str(self._root / CHART), "--destination", scratch], "")
            [package] = Path(scratch).glob("*.tgz")
            version = package.stem.removeprefix(f"{CHART.name}-")
            digest = self._chart_digest(version)
            if digest is None:
                self._push(helm, package, registry or url.partition("/")[0], ["--plain-http"] if registry else [])
        if digest:
            self._tell(f"{CHART.name} {version} is there already; a changed chart needs another version in Chart.yaml")
        return Published(CHART.name, f"{url}@{digest or self._chart_digest(version)}", is_new=digest is None)

    def _contexts_bucket(self) -> str:
        name = naming.image_project(self._settings)
        found = self._ask("codebuild", "batch_get_projects", names=[name])["projects"]
        if not found:
            raise OpsError(
                f"There is no CodeBuild project {name}: run `pulumi up` with images.build: codebuild once, or build "
                "with Docker (docs/operations.md)."
            )
        return str(found[0]["source"]["location"].partition("/")[0])

    def _order(self, name: str, bucket: str, context: Mapping[str, str]) -> Order:
        return Order(
            project=naming.image_project(self._settings),
            bucket=bucket,
            repository_url=self._repository_url(name),
            timeout_min=self._settings.images.build_timeout_min,
            docker_hub=image_contexts.docker_hub(self._settings),
            **context,
        )

    def _repository_url(self, name: str) -> str:
        asked = [naming.repository(self._settings, name)]
        [found] = self._ask("ecr", "describe_repositories", repositoryNames=asked)["repositories"]
        return str(found["repositoryUri"])

    def _chart_digest(self, version: str) -> str | None:
        try:
            return digest_of(self._clients("ecr"), naming.repository(self._settings, CHART.name), version)
        except (ClientError, BotoCoreError) as error:
            raise self._failed(error) from error

    def _push(self, helm: Helm, package: Path, host: str, options: list[str]) -> None:
        """The token goes to helm by stdin and lies in a file that goes with the folder."""
        granted = self._ask("ecr", "get_authorization_token")["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(granted).decode().partition(":")
        login = ["--registry-config", str(package.parent / "registry.json"), *options]
        helm(["registry", "login", host, "--username", user, "--password-stdin", *login], password)
        helm(["push", str(package), f"oci://{host}/{naming.prefixed(self._settings)}", *login], "")

    def _ask(self, service: str, call: str, **given: Any) -> Any:
        try:
            return getattr(self._clients(service), call)(**given)
        except (ClientError, BotoCoreError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> OpsError:
        return OpsError(f"{naming.prefixed(self._settings)} can't be published to: {error}")
