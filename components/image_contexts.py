"""What each image is built from: its context as a zip, and a tag that every byte of it has a say in."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components import bundle, naming
from components.image_copies import Copy, copies
from components.settings import Settings

AGENT = "agent"
CHART = "sd-runtime"  # Helm pushes a chart to the repository of its name
DOCKER_HUB = "docker-hub"  # of UPSTREAMS
# How long a build may wait for its turn: new accounts run one at a time, and a stack has a few.
QUEUED_TIMEOUT_MIN = 240
FORMAT = 1  # part of the tag: raise it when the same inputs are to give another image
CACHE = Path(".cache/images")
RECIPES = Path("images")  # a folder with a Dockerfile for each type of runtime
BUILDSPEC, SCRIPT = RECIPES / "buildspec.yaml", RECIPES / "build.sh"
COPY_BUILDSPEC, COPY_SCRIPT = RECIPES / "copy.yaml", RECIPES / "copy.sh"

_AGENT_SOURCES = ("agent", "sd_async/__init__.py", "sd_async/contract", "requirements/agent.lock")


class ContextError(RuntimeError):
    """An image can't be built from this folder; the message says why and what to do."""


@dataclass(frozen=True)
class Recipe:
    """dockerfile, context: as `docker build` takes them, from the project's folder. platforms: what it runs on."""

    dockerfile: str
    context: str
    sources: tuple[str, ...]
    platforms: tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """One image's recipe and inputs. tag: the same for the same inputs, on every machine. archive: the zip of them."""

    recipe: Recipe
    tag: str
    archive: Path

    @property
    def order(self) -> dict[str, str]:
        """What the order of a build says of it."""
        recipe = self.recipe
        how = {"dockerfile": recipe.dockerfile, "context": recipe.context, "platforms": " ".join(recipe.platforms)}
        return how | {"tag": self.tag, "archive": str(self.archive.resolve())}


@dataclass(frozen=True)
class Copying:
    """An image that is only copied. archive: the zip of what copies it, which has no say in what comes of it."""

    copy: Copy
    archive: Path

    @property
    def order(self) -> dict[str, str]:
        """What the order of a build says of it."""
        copy = self.copy
        return {"copy_of": f"{copy.source}:{copy.tag}", "tag": copy.tag, "archive": str(self.archive.resolve())}


def recipe(image: str) -> Recipe:
    """The agent runs on every node, runtimes only where the GPUs are, which no arm64 node of ours has."""
    if image == AGENT:
        return Recipe("agent/Dockerfile", ".", _AGENT_SOURCES, ("linux/amd64", "linux/arm64"))
    folder = (RECIPES / image).as_posix()
    return Recipe(f"{folder}/Dockerfile", folder, (folder,), ("linux/amd64",))


def context(root: Path, image: str) -> Context:
    """The image's inputs, zipped when none of the same are in the cache. image: `agent`, or a runtime's type.

    root: the project's folder; the archive lies in it. Raises: ContextError.
    """
    found = recipe(image)
    entries = dict(_entries(root, found))
    if found.dockerfile not in entries:
        raise ContextError(f"There is no {found.dockerfile} to build the image of {image}: name a built one instead.")
    digest = hashlib.sha256(repr((FORMAT, found)).encode())
    for name, data in sorted(entries.items()):
        digest.update(repr((name, data)).encode())
    tag = f"src-{digest.hexdigest()[:16]}"
    archive = root / CACHE / f"{image}-{tag}.zip"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        bundle.put(archive, entries)
    return Context(found, tag, archive)


def copying(root: Path, copy: Copy) -> Copying:
    """How an image is copied. root: as of `context`."""
    files = {"buildspec.yml": COPY_BUILDSPEC, COPY_SCRIPT.as_posix(): COPY_SCRIPT}
    entries = {name: (root / path).read_bytes() for name, path in files.items()}
    digest = hashlib.sha256(repr(sorted(entries.items())).encode()).hexdigest()
    archive = root / CACHE / f"copy-{digest[:16]}.zip"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        bundle.put(archive, entries)
    return Copying(copy, archive)


def contexts(root: Path, settings: Settings) -> dict[str, Context | Copying]:
    """Of all that CodeBuild makes for the stack, by name. Raises: ContextError."""
    copied = {copy.name: copying(root, copy) for copy in copies(settings)}
    return {image: context(root, image) for image in wanted(settings)} | copied


def wanted(settings: Settings) -> tuple[str, ...]:
    """Images that the stack builds, each once: those that no setting names."""
    types = {runtime.type.value for runtime in settings.runtimes if runtime.image is None}
    return (*(() if settings.agent.image else (AGENT,)), *sorted(types))


def repositories(settings: Settings) -> tuple[str, ...]:
    """Names, each once: the agent's, those of the runtimes' types and of what is copied, and the chart's.

    None where the settings want none.
    """
    if not settings.images.repositories:
        return ()
    types = sorted({runtime.type.value for runtime in settings.runtimes})
    return (AGENT, *types, *(copy.name for copy in copies(settings)), CHART)


def builds_at_aws(settings: Settings) -> bool:
    return settings.images.build == "codebuild" and bool(wanted(settings) or copies(settings))


def docker_hub(settings: Settings) -> str:
    """Prefix of the stack's cache of Docker Hub, from which builds then take their bases; empty without one."""
    has_cache = any(cache.upstream == DOCKER_HUB for cache in settings.images.caches)
    return naming.repository(settings, DOCKER_HUB) if has_cache else ""


def _entries(root: Path, found: Recipe) -> Iterator[tuple[str, bytes]]:
    yield "buildspec.yml", (root / BUILDSPEC).read_bytes()
    yield SCRIPT.as_posix(), (root / SCRIPT).read_bytes()
    for source in found.sources:
        place = root / source
        for path in [place] if place.is_file() else place.rglob("*"):
            name = path.relative_to(root)
            if path.is_file() and not _is_debris(name):
                yield name.as_posix(), path.read_bytes()


def _is_debris(name: Path) -> bool:
    """What tools and editors leave behind, and no build reads."""
    return name.suffix == ".pyc" or any(part == "__pycache__" or part.startswith(".") for part in name.parts)
