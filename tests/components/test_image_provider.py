"""The build as the engine sees it: a pickle, handed to a process of its own, asked over gRPC."""

import asyncio
import base64
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # what the engine speaks; it has no types
import pytest
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from components.image_codebuild import Order
from components.image_provider import BuildProvider, SweepProvider, order_of
from local.emulator import Emulator, running
from tests.support.engine import ROOT

SERIALIZED = serialize_provider(BuildProvider())
REPOSITORY = "sd-async-dev/agent"
ORDER = Order(
    project="sd-async-dev-images",
    bucket="contexts",
    repository_url=f"123456789012.dkr.ecr.us-west-2.amazonaws.com/{REPOSITORY}",
    tag="src-1",
    dockerfile="agent/Dockerfile",
    context=".",
    platforms="linux/amd64",
    archive="nowhere.zip",
    timeout_min=60,
)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator")) as started:
        yield started


@pytest.fixture(scope="module")
def provider(emulator: Emulator) -> Iterator[Any]:
    """The process that the engine starts for dynamic resources, in the project's folder, and a line to it."""
    environment = {**os.environ, **emulator.environment, "PULUMI_PROJECT": "sd-async"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-W", "ignore", "-u", "-m", "pulumi.dynamic"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield provider_pb2_grpc.ResourceProviderStub(channel)
        finally:
            process.terminate()


def wire(**changes: Any) -> Any:
    """Properties as the engine sends them."""
    given = {**asdict(ORDER), "region": "us-west-2", PROVIDER_KEY: SERIALIZED, **changes}
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(rpc.serialize_properties(given, {}))
    finally:
        loop.close()


def image(emulator: Emulator, tag: str) -> str:
    """Digest of an image that is there with the tag."""
    ecr = emulator.client("ecr")
    ecr.create_repository(repositoryName=REPOSITORY)
    manifest = json.dumps({"schemaVersion": 2, "tag": tag})
    return str(
        ecr.put_image(repositoryName=REPOSITORY, imageManifest=manifest, imageTag=tag)["image"]["imageId"][
            "imageDigest"
        ]
    )


def test_the_pickle_is_a_reference_so_that_changed_code_is_no_changed_resource() -> None:
    assert serialize_provider(BuildProvider()) == SERIALIZED
    held = base64.b64decode(SERIALIZED)
    assert b"components.image_provider" in held
    assert len(held) < 200, "the code itself is not in it"
    assert type(pickle.loads(held)) is BuildProvider


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, False),
        ({"tag": "src-2"}, True),
        ({"repository_url": "elsewhere/agent"}, True),
        ({"archive": "/another/colleagues/folder.zip"}, False),
        ({"timeout_min": 90, "profile": "other"}, False),
    ],
    ids=["nothing", "another input", "another repository", "another folder", "another way"],
)
def test_only_another_tag_or_repository_is_another_build(
    provider: Any,
    changes: dict[str, Any],
    differs: bool,  # noqa: FBT001 - what the case expects
) -> None:
    asked = provider_pb2.DiffRequest(id="x", olds=wire(digest="sha256:1"), news=wire(**changes))
    answer = provider.Diff(asked)
    expected = provider_pb2.DiffResponse.DIFF_SOME if differs else provider_pb2.DiffResponse.DIFF_NONE
    assert answer.changes == expected
    assert list(answer.replaces) == []


def test_the_engine_gets_the_digest_of_an_image_that_is_there(provider: Any, emulator: Emulator) -> None:
    emulator.reset()
    digest = image(emulator, "src-1")
    made = provider.Create(provider_pb2.CreateRequest(properties=wire()))
    assert (made.id, dict(made.properties)["digest"]) == (REPOSITORY, digest)
    other = emulator.client("ecr").put_image(repositoryName=REPOSITORY, imageManifest="{}", imageTag="src-2")
    updated = provider.Update(provider_pb2.UpdateRequest(id=made.id, olds=made.properties, news=wire(tag="src-2")))
    assert dict(updated.properties)["digest"] == other["image"]["imageId"]["imageDigest"] != digest


def test_an_image_that_has_expired_is_built_again_after_a_refresh(provider: Any, emulator: Emulator) -> None:
    emulator.reset()
    digest = image(emulator, "src-1")
    kept = provider.Read(provider_pb2.ReadRequest(id=REPOSITORY, properties=wire(digest=digest)))
    assert (dict(kept.properties)["digest"], dict(kept.properties)["tag"]) == (digest, "src-1")
    emulator.client("ecr").batch_delete_image(repositoryName=REPOSITORY, imageIds=[{"imageTag": "src-1"}])
    gone = provider.Read(provider_pb2.ReadRequest(id=REPOSITORY, properties=wire(digest=digest)))
    asked = provider_pb2.DiffRequest(id=REPOSITORY, olds=gone.properties, news=wire())
    assert provider.Diff(asked).changes == provider_pb2.DiffResponse.DIFF_SOME


def test_what_an_older_stack_has_kept_of_a_build_still_says_all_of_it() -> None:
    kept = {name: value for name, value in asdict(ORDER).items() if name != "copy_of"}
    assert order_of({**kept, "timeout_min": 60.0, "digest": "sha256:1"}) == ORDER


def test_what_is_kept_of_a_copy_is_its_order_too() -> None:
    copy = Order(
        project="p",
        bucket="b",
        repository_url="r/keda",
        tag="1",
        archive="a.zip",
        timeout_min=60,
        copy_of="ghcr.io/k:1",
    )
    built_by = ("dockerfile", "context", "platforms")
    assert order_of({name: value for name, value in asdict(copy).items() if name not in built_by}) == copy


def test_a_build_that_can_not_be_started_is_the_resources_error_with_its_sentence(
    provider: Any, emulator: Emulator
) -> None:
    emulator.reset()
    emulator.client("ecr").create_repository(repositoryName=REPOSITORY)
    with pytest.raises(grpc.RpcError, match="agent:src-1 can't be built by sd-async-dev-images"):
        provider.Create(provider_pb2.CreateRequest(properties=wire()))


def test_a_whole_build_on_the_emulator_uploads_its_context_and_names_its_variables(
    provider: Any, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.reset()
    archive = tmp_path / "agent-src-1.zip"
    archive.write_bytes(b"the context")
    emulator.client("ecr").create_repository(repositoryName=REPOSITORY)
    s3, codebuild = emulator.client("s3"), emulator.client("codebuild")
    s3.create_bucket(Bucket="contexts", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    codebuild.create_project(
        name=ORDER.project,
        source={"type": "S3", "location": "contexts/contexts/"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "standard", "computeType": "BUILD_GENERAL1_MEDIUM"},
        serviceRole="arn:aws:iam::123456789012:role/images",
    )
    # the emulator's builds only have a record, so that this one succeeds and leaves no image
    with pytest.raises(grpc.RpcError, match="succeeded and left no image with that tag"):
        provider.Create(provider_pb2.CreateRequest(properties=wire(archive=str(archive))))
    assert s3.get_object(Bucket="contexts", Key="contexts/agent-src-1.zip")["Body"].read() == b"the context"
    [ran] = codebuild.list_builds_for_project(projectName=ORDER.project)["ids"]
    assert ran.startswith(ORDER.project)


def test_a_destroyed_cache_takes_its_repositories_with_it(provider: Any, emulator: Emulator) -> None:
    emulator.reset()
    ecr = emulator.client("ecr")
    for name in ("sd-async-dev/quay/a", "sd-async-dev/agent"):
        ecr.create_repository(repositoryName=name)
    loop = asyncio.new_event_loop()
    given = {"prefix": "sd-async-dev/quay", "region": "us-west-2", PROVIDER_KEY: serialize_provider(SweepProvider())}
    properties = loop.run_until_complete(rpc.serialize_properties(given, {}))
    loop.close()
    made = provider.Create(provider_pb2.CreateRequest(properties=properties))
    assert len(ecr.describe_repositories()["repositories"]) == 2, "a cache that is new has nothing to take away"
    provider.Delete(provider_pb2.DeleteRequest(id=made.id, properties=made.properties))
    assert [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]] == ["sd-async-dev/agent"]
