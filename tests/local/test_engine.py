"""The engine in place of Pulumi's: programs of a few lines, evaluated as `__main__.py` is."""

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import settings

from local.deploy.engine import DeployError, evaluate
from local.system import ROOT

THING = """
import pulumi

class Thing(pulumi.CustomResource):
    made: pulumi.Output[str]

    def __init__(self, name, **inputs):
        super().__init__("test:index:Thing", name, {"made": None, **inputs})

"""


@dataclass
class Recorder:
    """Creates everything but what is named bad."""

    created: dict[str, dict[str, Any]] = field(default_factory=dict)

    def create(self, token: str, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if name.startswith("bad"):
            raise DeployError(f"{name} is not wanted")
        self.created[name] = inputs
        return f"{name}-id", {"made": f"{name}-made"}

    def call(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"token": token, **arguments}


def run(
    folder: Path, program: str, placer: Recorder | None = None, config: dict[str, str] | None = None
) -> dict[str, Any]:
    path = folder / "__main__.py"
    path.write_text(THING + program)
    return evaluate(path, project="p", stack="s", config=config or {}, placer=placer or Recorder())


def test_outputs_of_one_resource_are_inputs_of_the_next(tmp_path: Path) -> None:
    placer = Recorder()
    run(tmp_path, "first = Thing('first', size=3)\nThing('second', made=first.made, of=first.id)", placer)
    assert placer.created == {"first": {"size": 3}, "second": {"of": "first-id", "made": "first-made"}}


def test_a_name_derived_from_an_output_is_known_when_it_is_used(tmp_path: Path) -> None:
    placer = Recorder()
    run(tmp_path, "Thing('b', arn=Thing('a').made.apply(lambda made: f'arn:{made}'))", placer)
    assert placer.created["b"] == {"arn": "arn:a-made"}


def test_secrets_come_out_in_the_clear_however_deep_they_lie(tmp_path: Path) -> None:
    placer = Recorder()
    outputs = run(
        tmp_path,
        "hush = pulumi.Output.secret('hush')\n"
        "Thing('a', flat=hush, deep={'list': [hush]})\n"
        "pulumi.export('keys', pulumi.Output.secret({'first': Thing('b').made}))\n"
        "pulumi.export('deep', [{'key': hush}])",
        placer,
    )
    assert placer.created["a"] == {"flat": "hush", "deep": {"list": ["hush"]}}
    assert outputs == {"keys": {"first": "b-made"}, "deep": [{"key": "hush"}]}


def test_provider_functions_are_answered_by_the_placer(tmp_path: Path) -> None:
    outputs = run(
        tmp_path,
        "pulumi.export('answer', pulumi.runtime.invoke('test:index:ask', {'what': 'x'}).value)",
    )
    assert outputs == {"answer": {"token": "test:index:ask", "what": "x"}}


def test_components_are_no_business_of_the_placer(tmp_path: Path) -> None:
    placer = Recorder()
    run(tmp_path, "pulumi.ComponentResource('p:x:Y', 'component', None, None)\nThing('a')", placer)
    assert list(placer.created) == ["a"]


@pytest.mark.parametrize(
    "program", ["raise ValueError('no such luck')", "Thing('a').made.apply(lambda made: int('no such luck'))"]
)
def test_an_exception_of_the_program_is_one_error_with_its_type_and_place(tmp_path: Path, program: str) -> None:
    with pytest.raises(DeployError, match=r"^The program failed: ValueError: .*no such luck.*__main__\.py:\d+\)$"):
        run(tmp_path, program)


def test_an_exception_on_the_way_into_a_resource_is_one_error_too(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"(?s)^The program failed: ValueError: .*no such luck"):
        run(tmp_path, "Thing('b', size=Thing('a').made.apply(lambda made: int('no such luck')))")


def test_an_exception_made_for_people_keeps_its_words(tmp_path: Path) -> None:
    refusal = "class Refusal(ValueError):\n    pass\n\nRefusal.__module__ = 'settings'\nraise Refusal('Set it to 3.')"
    with pytest.raises(DeployError, match=r"^The program failed: Set it to 3\.$"):
        run(tmp_path, refusal)


def test_a_failed_resource_is_told_once_and_what_waits_for_it_keeps_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    placer = Recorder()
    chain = "bad = Thing('bad')\n" + "".join(f"Thing('after-{n}', made=bad.made)\n" for n in range(3))
    with pytest.raises(DeployError, match=r"^bad is not wanted$"):
        run(tmp_path, chain, placer)
    assert placer.created == {}
    gc.collect()  # asyncio complains of an unheard future when it is thrown away
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def test_a_program_runs_whatever_another_engine_left_in_this_process(tmp_path: Path) -> None:
    settings.set_root_resource(pulumi.ProviderResource.__new__(pulumi.ProviderResource))
    assert run(tmp_path, "pulumi.export('a', 1)") == {"a": 1}


def test_the_first_failure_is_told_where_several_resources_fail(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"^bad-1 is not wanted$"):
        run(tmp_path, "first = Thing('bad-1')\nThing('bad-2', after=first.id)")


def test_two_evaluations_do_not_disturb_each_other(tmp_path: Path) -> None:
    program = "size = pulumi.Config('p').get('size')\nThing('a', size=size)\npulumi.export('size', size)"
    with pytest.raises(DeployError):
        run(tmp_path, "pulumi.export('left', 'over')\nThing('bad')", config={"p:size": "1", "p:other": "x"})
    placer = Recorder()
    assert run(tmp_path, program, placer, {"p:size": "2"}) == {"size": "2"}
    assert placer.created == {"a": {"size": "2"}}
    assert run(tmp_path, program) == {}, "nothing is left of the earlier configuration"


def test_an_interrupted_evaluation_does_not_disturb_the_next(tmp_path: Path) -> None:
    chain = (
        "made = 'start'\n"
        "for number in range(9):\n"
        "    made = Thing(f'thing-{number}', after=made).made.apply(lambda made: made)\n"
        "pulumi.export('made', made)"
    )
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, f"import signal\nsignal.raise_signal(signal.SIGINT)\n{chain}")
    assert run(tmp_path, chain) == {"made": "thing-8-made"}


def test_a_program_runs_in_its_own_folder_and_ours_is_as_before(tmp_path: Path) -> None:
    before = Path.cwd()
    assert run(tmp_path, "import os\npulumi.export('folder', os.getcwd())") == {"folder": str(tmp_path)}
    with pytest.raises(DeployError):
        run(tmp_path, "raise ValueError")
    assert Path.cwd() == before


def test_nobody_looks_for_garbage_while_a_program_runs_and_then_as_before(tmp_path: Path) -> None:
    looks = "import gc\npulumi.export('looks', gc.isenabled())\n"
    assert gc.isenabled()
    assert run(tmp_path, looks) == {"looks": False}
    with pytest.raises(DeployError):
        run(tmp_path, f"{looks}raise ValueError")
    assert gc.isenabled()


def test_refused_settings_are_one_readable_message() -> None:
    config = {
        "aws:region": "us-west-2",
        "sd-async:runtimes": '[{"name": "X", "type": "comfy"}]',
        "sd-async:agent": '{"image": "x"}',
    }
    with pytest.raises(DeployError) as raised:
        evaluate(ROOT / "__main__.py", project="sd-async", stack="dev", config=config, placer=Recorder())
    message = str(raised.value)
    assert "Traceback" not in message
    for named in ("sd-async:runtimes[0].name", "sd-async:runtimes[0].type", "sd-async:agent.image"):
        assert named in message, message
