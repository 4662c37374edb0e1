"""What local mode knows of the program's resources: every kind, every input, nothing skipped in silence."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from local.deploy.aws import Aws
from local.deploy.engine import DeployError
from local.deploy.inputs import Inputs, MissingInputError, pascal, plain, whole_numbers
from local.deploy.up import ANSWERED_BY_NOTHING, KINDS, RELEASE, SCALED_OBJECT, WITHOUT_EFFECT, Placer
from tests.local import declared
from tests.local.declared import Declared


class AgreeableAws(Aws):
    """Every call succeeds; what the kinds make of their inputs is all that counts."""

    def __init__(self) -> None:
        super().__init__(MagicMock())

    def client(self, service: str) -> Any:
        return MagicMock()


def create(one: Declared, **more: Any) -> None:
    Placer(AgreeableAws()).create(one.token, one.name, one.inputs | more)


def test_the_program_declares_only_kinds_that_are_known_and_all_of_them() -> None:
    created = KINDS.keys() | {RELEASE, SCALED_OBJECT}
    tokens = {one.token for one in declared.resources()}
    assert tokens <= created | ANSWERED_BY_NOTHING.keys()
    assert created <= tokens, "a kind that nobody declares is dead code"


def test_no_input_of_the_program_is_ignored() -> None:
    for one in declared.resources():
        create(one)


def test_an_input_added_later_is_refused_by_name_and_not_dropped() -> None:
    kinds = [one for one in declared.first_of_each_kind() if one.token not in ANSWERED_BY_NOTHING]
    assert len(kinds) > 20
    for one in kinds:
        with pytest.raises(DeployError) as raised:
            create(one, surprise={"enabled": True})
        assert f"`{one.name}` ({one.token}) sets surprise, which local mode would ignore" in str(raised.value)
        assert "WITHOUT_EFFECT" in str(raised.value), "the way out"


@pytest.mark.parametrize(
    ("token", "field", "value", "named"),
    [
        ("aws:apigateway/usagePlan:UsagePlan", "throttleSettings", {"rateLimit": 1, "burstLimit": 1, "x": 2}, "x"),
        ("aws:lambda/function:Function", "environment", {"variables": {"A": "1"}, "secret": 2}, "secret"),
    ],
)
def test_an_input_deep_inside_another_is_refused_too(token: str, field: str, value: Any, named: str) -> None:
    [one] = [one for one in declared.first_of_each_kind() if one.token == token]
    with pytest.raises(DeployError, match=rf"sets {field}\.{named}, which"):
        create(one, **{field: value})


def test_what_has_no_effect_here_is_named_only_where_the_program_sets_it() -> None:
    for token, fields in WITHOUT_EFFECT.items():
        given = {name for one in declared.resources() if one.token == token for name in one.inputs}
        assert fields.keys() <= given
        assert all(fields.values()), "each has its reason"


def test_a_kind_that_nobody_knows_is_an_error_with_the_way_out() -> None:
    with pytest.raises(DeployError) as raised:
        Placer(AgreeableAws()).create("aws:eks/cluster:Cluster", "main", {})
    message = str(raised.value)
    assert "`main`" in message
    assert "aws:eks/cluster:Cluster" in message
    assert "local/deploy" in message
    assert "ANSWERED_BY_NOTHING" in message


def test_a_function_that_nobody_knows_is_an_error_that_names_it() -> None:
    with pytest.raises(DeployError, match="aws:index/getRegion:getRegion"):
        Placer(AgreeableAws()).call("aws:index/getRegion:getRegion", {})


def test_a_call_that_aws_refuses_names_the_resource_and_its_kind() -> None:
    with pytest.raises(DeployError, match=r"^`jobs` \(aws:sqs/queue:Queue\) could not be created locally: "):
        Placer(Refusing()).create("aws:sqs/queue:Queue", "jobs", {"name": "x"})


class Refusing(AgreeableAws):
    def client(self, service: str) -> Any:
        raise RuntimeError(service)


def test_an_input_that_a_kind_needs_is_named_when_it_is_missing() -> None:
    with pytest.raises(DeployError, match=r"`in` .*: it has no protocol, without which"):
        Placer(AgreeableAws()).create("aws:sns/topicSubscription:TopicSubscription", "in", {"topic": "t"})


def test_inputs_know_what_was_not_read() -> None:
    given = Inputs({"a": 1, "none": None, "deep": {"b": 1, "c": {"d": 2}}, "list": [{"e": 1, "f": 2}, {"e": 3}]})
    assert given.unread() == {"a", "deep", "list"}
    assert "a" in given, "to ask whether it is there is not to read it"
    assert "none" not in given
    assert given.unread() == {"a", "deep", "list"}
    assert (given["a"], given["deep"]["c"]["d"], [item["e"] for item in given["list"]]) == (1, 2, [1, 3])
    assert given.unread() == {"deep.b", "list[].f"}
    assert plain(given["deep"]) == {"b": 1, "c": {"d": 2}}
    assert given.unread() == {"list[].f"}
    assert pascal(given["list"]) == [{"E": 1, "F": 2}, {"E": 3}]
    assert given.unread() == set()


def test_a_missing_input_says_so_and_get_has_its_default() -> None:
    with pytest.raises(MissingInputError, match="no a, without which"):
        Inputs({})["a"]
    assert Inputs({}).get("a", 3) == 3


def test_whole_numbers_become_integers_and_the_rest_stays() -> None:
    assert whole_numbers({"a": [1.0, 1.5, True, "1.0", None]}) == {"a": [1, 1.5, True, "1.0", None]}
    assert isinstance(whole_numbers(2.0), int)
    assert whole_numbers(True) is True  # noqa: FBT003 - the value under test
