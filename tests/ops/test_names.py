"""What somebody needs who installs the chart by hand is told by one command, which asks only what can't be known."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components import cluster_policies
from components.settings import Settings
from local.emulator import ACCOUNT, Emulator
from ops.errors import OpsError
from ops.names import names
from tests.components.example import stack
from tests.ops.test_cli import admin

INPUT, OUTPUT, MODELS = (f"sd-async-dev-{kind}-0a1b2c3" for kind in ("input", "output", "models"))
OTHERS = ("sd-async-dev-input-logs", "sd-async-dev-input-0a1b2c3d", "sd-async-dev-2-input-0a1b2c3")
TABLE = f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/sd-async-dev-jobs"


def placed(
    emulator: Emulator,
    buckets: tuple[str, ...] = (INPUT, OUTPUT, MODELS, *OTHERS),
    runtimes: tuple[str, ...] = ("sd15",),
) -> Emulator:
    """The emulator with a stack's things in it, and things of others that look like them."""
    emulator.reset()
    for bucket in buckets:
        place = {"LocationConstraint": "us-west-2"}
        emulator.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    for runtime in runtimes:
        for kind in ("jobs", "dead"):
            emulator.client("sqs").create_queue(QueueName=f"sd-async-dev-{kind}-{runtime}")
    for image in ("agent", "a1111", "comfyui", "sd-runtime"):
        emulator.client("ecr").create_repository(repositoryName=f"sd-async-dev/{image}")
    return emulator


def two() -> Settings:
    return stack(cluster={"create": True})


def test_everything_is_told_by_the_name_that_the_program_gave_it(emulator: Emulator) -> None:
    found = names(two(), placed(emulator, runtimes=("sd15", "sdxl")).client)
    assert (found.input_bucket, found.output_bucket, found.models_bucket) == (INPUT, OUTPUT, MODELS)
    assert found.jobs_table == "sd-async-dev-jobs"
    assert found.jobs_topic_arn == f"arn:aws:sns:us-west-2:{ACCOUNT}:sd-async-dev-jobs"
    assert found.results_topic_arn == f"arn:aws:sns:us-west-2:{ACCOUNT}:sd-async-dev-results"
    ends = {name: url.rpartition("/")[2] for name, url in found.queue_urls.items()}
    assert ends == {"sd15": "sd-async-dev-jobs-sd15", "sdxl": "sd-async-dev-jobs-sdxl"}
    ends = {name: url.rpartition("/")[2] for name, url in found.dead_letter_queue_urls.items()}
    assert ends == {"sd15": "sd-async-dev-dead-sd15", "sdxl": "sd-async-dev-dead-sdxl"}
    for image in ("agent", "a1111", "comfyui", "sd-runtime"):
        assert found.image_repositories[image].endswith(f"/sd-async-dev/{image}")


def test_an_agents_policy_is_the_one_that_the_program_gives_it(emulator: Emulator) -> None:
    settings = two()
    found = names(settings, placed(emulator, runtimes=("sd15", "sdxl")).client)
    arns = cluster_policies.AgentArns(
        queue=f"arn:aws:sqs:us-west-2:{ACCOUNT}:sd-async-dev-jobs-sd15",
        table=TABLE,
        input_bucket=f"arn:aws:s3:::{INPUT}",
        output_bucket=f"arn:aws:s3:::{OUTPUT}",
        models=f"arn:aws:s3:::{MODELS}",
        results_topic=f"arn:aws:sns:us-west-2:{ACCOUNT}:sd-async-dev-results",
        files=("arn:aws:s3:::team-a", "arn:aws:s3:::team-b"),
    )
    assert found.agent_policies["sd15"] == cluster_policies.agent(arns, "sd15")


@pytest.mark.parametrize(("cluster", "roles"), [(True, ["sd15", "sdxl"]), (False, [])])
def test_roles_of_agents_are_told_where_the_program_made_them(
    emulator: Emulator,
    cluster: bool,  # noqa: FBT001 - a row of the table
    roles: list[str],
) -> None:
    found = names(stack(cluster={"create": cluster}), placed(emulator, runtimes=("sd15", "sdxl")).client)
    assert found.agent_roles == {name: f"arn:aws:iam::{ACCOUNT}:role/sd-async-dev-agent-{name}" for name in roles}


def test_a_stack_without_repositories_has_none_to_tell(emulator: Emulator) -> None:
    settings = stack(images={"repositories": False, "build": "given"})
    assert names(settings, placed(emulator, runtimes=("sd15", "sdxl")).client).image_repositories == {}


@pytest.mark.parametrize(
    ("buckets", "sentence"),
    [
        ((OUTPUT, MODELS, *OTHERS), r"There is no bucket sd-async-dev-input-… in us-west-2: run `pulumi up`"),
        ((INPUT, "sd-async-dev-input-9999999", OUTPUT), "sd-async-dev-input-0a1b2c3, sd-async-dev-input-9999999 could"),
    ],
)
def test_a_bucket_that_is_not_there_or_might_be_another_is_not_guessed(
    emulator: Emulator, buckets: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(OpsError, match=sentence):
        names(two(), placed(emulator, buckets).client)


def test_a_queue_that_is_not_there_is_one_sentence(emulator: Emulator) -> None:
    with pytest.raises(
        OpsError, match=r"AWS does not tell what sd-async-dev is made of: .* Is the stack up in us-west-2"
    ):
        names(two(), placed(emulator).client)


def test_who_may_not_ask_is_told_so() -> None:
    class Refusing:
        def get_caller_identity(self) -> Any:
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetCallerIdentity")

    with pytest.raises(OpsError, match="ExpiredToken"):
        names(two(), lambda _service: Refusing())


def test_the_command_tells_all_that_is_one_word_long_on_a_line_of_its_own_and_the_rest_as_json(
    emulator: Emulator,
) -> None:
    placed(emulator)
    done = admin("names", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert done.returncode == 0, done.stderr
    told = dict(line.split() for line in done.stdout.splitlines())
    assert told["input_bucket"] == INPUT
    assert told["jobs_table"] == "sd-async-dev-jobs"
    assert told["image_repositories.agent"].endswith("/sd-async-dev/agent")
    machine = admin("names", "--json", "--endpoint-url", emulator.endpoint, emulator=emulator)
    document = json.loads(machine.stdout)
    assert document.keys() - {"agent_policies"} == {name.partition(".")[0] for name in told}
    assert document["agent_policies"]["sd15"]["Statement"][1]["Resource"] == [TABLE]


def test_the_command_says_in_one_sentence_that_a_stack_is_not_there(emulator: Emulator) -> None:
    emulator.reset()
    done = admin("names", "--endpoint-url", emulator.endpoint, emulator=emulator)
    assert (done.returncode, done.stdout) == (2, "")
    assert "There is no bucket sd-async-dev-input-… in us-west-2" in done.stderr
    assert "Traceback" not in done.stderr
