"""Pods as processes: what they are given, when they come and go, and that none stays."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local.emulator import CREDENTIALS
from local.pods import (
    BACKOFF_RESET_S,
    LONGEST_BACKOFF_S,
    RUNTIME_URL,
    Pod,
    Pods,
    UnknownFieldError,
    pod_ips,
)
from local.processes import base_environment
from tests.local.sleepers import Clock, is_running, pid_in, python, sleeper, until
from tests.local.test_pod_template import ADDRESS, GRACE_S, NAME, URL, template


@dataclass
class Room:
    """Makes pods whose agents are any command, and leaves no process behind."""

    folder: Path
    clock: Clock
    made: list[Pods]

    def pods(
        self,
        agent: Sequence[str] | None = None,
        *,
        runtime: Callable[[str], Sequence[str]] | None = None,
        runtime_url: str | None = None,
        environment: Sequence[dict[str, Any]] = (),
        addresses: int = 5,
    ) -> Pods:
        pods = Pods(
            template(*environment),
            self.folder,
            self.folder,
            runtime=runtime,
            runtime_url=runtime_url,
            agent=agent or sleeper(),
            clock=self.clock,
            _ips=[f"127.9.9.{number}" for number in range(1, addresses + 1)],
        )
        self.made.append(pods)
        return pods

    def tick_until(self, pods: Pods, condition: Callable[[], bool], what: str) -> None:
        def ticked() -> bool:
            pods.tick()
            return condition()

        until(ticked, what)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made: list[Pods] = []
    yield Room(tmp_path, Clock(), made)
    for container in (container for pods in made for pod in pods.pods for container in pod.containers):
        container.child.kill()  # some are deaf, and no test is about to end them slowly


def pids(pods: Pods) -> list[int]:
    return [container.child.pid for pod in pods.pods for container in pod.containers]


def has_ended(pod: Pod) -> bool:
    return pod.agent.child.exit_code() is not None


def test_an_agents_environment_holds_nothing_of_ours(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "hush")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hush")
    told = room.folder / "told"
    dump = f"import json, os\nopen({str(told)!r}, 'w').write(json.dumps(dict(os.environ)))"
    room.pods(python(dump), environment=[NAME, ADDRESS, URL]).scale(1)
    [pod] = room.made[0].pods
    until(lambda: pod.agent.child.exit_code() == 0, "the agent to tell its environment")
    environment = json.loads(told.read_text())
    environment.pop("LC_CTYPE", None)  # Python's own doing, where no locale is set (PEP 538)
    assert environment == {
        **base_environment(room.folder),
        **CREDENTIALS,
        "SD_AGENT_ID": pod.name,
        "SD_POD_IP": "127.9.9.1",
        RUNTIME_URL: "http://127.9.9.1:8188",
    }
    assert "hush" not in environment.values()


def test_a_runtime_that_is_there_already_is_used_as_it_is(room: Room) -> None:
    pods = room.pods(runtime_url="https://gpu.example:8188")
    assert pods._agent_environment("a", "127.9.9.1")[RUNTIME_URL] == "https://gpu.example:8188"


def test_pods_come_as_wanted_and_the_newest_go_first(room: Room) -> None:
    pods = room.pods()
    pods.scale(3)
    oldest, middle, newest = pods.pods
    assert len({pod.name for pod in pods.pods}) == 3
    pods.scale(3)
    assert pods.pods == [oldest, middle, newest]
    pods.scale(1)
    assert pods.wanted == [oldest]
    room.tick_until(pods, lambda: pods.pods == [oldest], "the others to end")
    assert [pod.agent.child.exit_code() for pod in (oldest, middle, newest)] == [None, -signal.SIGTERM, -signal.SIGTERM]


def test_a_pod_that_is_ending_is_not_taken_back_but_replaced(room: Room) -> None:
    pods = room.pods(sleeper(room.folder / "ready", is_deaf=True))
    pods.scale(1)
    pid_in(room.folder / "ready")
    [old] = pods.pods
    pods.scale(0)
    pods.scale(1)
    [new] = pods.wanted
    assert new.name != old.name
    pods.tick()
    assert not has_ended(old), "it has its whole grace period"


def test_an_agent_deaf_to_sigterm_is_killed_when_its_grace_period_is_over(room: Room) -> None:
    pods = room.pods(sleeper(room.folder / "ready", is_deaf=True))
    pods.scale(1)
    pid_in(room.folder / "ready")
    [pod] = pods.pods
    pods.scale(0)
    room.clock.now_s += GRACE_S - 1
    pods.tick()
    assert pods.pods == [pod]
    room.clock.now_s += 1
    pods.tick()
    assert pods.pods == []
    assert pod.agent.child.exit_code() == -signal.SIGKILL


def test_the_runtime_outlives_the_agent_and_ends_after_it(room: Room) -> None:
    ready = room.folder / "ready"
    pods = room.pods(sleeper(ready, is_deaf=True), runtime=lambda _address: sleeper())
    pods.scale(1)
    pid_in(ready)
    [pod] = pods.pods
    assert pod.runtime is not None
    pods.scale(0)
    pods.tick()
    assert pod.runtime.child.exit_code() is None, "the agent still needs it"
    pod.agent.child.kill()
    pods.tick()
    assert pod.runtime.child.exit_code() == -signal.SIGTERM
    assert pods.pods == []


def test_a_container_that_ended_comes_back_at_once_and_then_ever_later(room: Room) -> None:
    pods = room.pods()
    pods.scale(1)
    [pod] = pods.pods
    for backoff_s in (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, LONGEST_BACKOFF_S, LONGEST_BACKOFF_S):
        dead = pod.agent.child
        dead.kill()
        pods.tick()
        if backoff_s:
            room.clock.now_s += backoff_s - 1
            pods.tick()
            assert pod.agent.child is dead, f"{backoff_s} s are not over"
            room.clock.now_s += 1
            pods.tick()
        assert pod.agent.child is not dead, f"{backoff_s} s are over"
        assert pod.agent.child.exit_code() is None


def test_a_container_that_ran_long_enough_comes_back_at_once(room: Room) -> None:
    pods = room.pods()
    pods.scale(1)
    [pod] = pods.pods
    for _ in range(3):
        dead = pod.agent.child
        dead.kill()
        pods.tick()
        assert pod.agent.child is not dead
        room.clock.now_s += BACKOFF_RESET_S


def test_a_runtime_that_its_agent_gave_up_starts_anew_with_it_once(room: Room) -> None:
    pods = room.pods(python("raise SystemExit(3)"), runtime=lambda _address: sleeper())
    pods.template = replace(pods.template, restarting_codes=frozenset({3}))
    pods.scale(1)
    [pod] = pods.pods
    assert pod.runtime is not None
    hung = pod.runtime.child
    room.tick_until(pods, lambda: hung.exit_code() is not None, "the runtime to end")
    new, agent = pod.runtime.child, pod.agent.child
    assert new is not hung
    room.clock.now_s += 1
    until(lambda: agent.exit_code() == 3, "the new agent to end")
    pods.template = replace(pods.template, restarting_codes=frozenset())
    pods.tick()
    assert pod.runtime.child is new, "the next agent ended for another reason"


def test_only_what_ended_is_started_again(room: Room) -> None:
    pods = room.pods(runtime=lambda _address: sleeper())
    pods.scale(1)
    [pod] = pods.pods
    assert pod.runtime is not None
    agent, runtime = pod.agent.child, pod.runtime.child
    runtime.kill()
    pods.tick()
    assert pod.agent.child is agent
    assert pod.runtime.child is not runtime


def test_an_address_is_given_again_once_its_pod_is_gone(room: Room) -> None:
    pods = room.pods(addresses=1)
    for _ in range(2):
        pods.scale(2)
        assert [pod.ip for pod in pods.pods] == ["127.9.9.1"], "one address, one pod"
        pods.scale(0)
        room.tick_until(pods, lambda: not pods.pods, "the pod to end")


def test_addresses_are_loopback_and_differ() -> None:
    addresses = pod_ips()
    assert all(address.startswith("127.") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_stop_leaves_no_process_whatever_state_the_pods_are_in(room: Room) -> None:
    pods = room.pods(sleeper(room.folder / "ready"), runtime=lambda _address: sleeper())
    pods.scale(3)
    pid_in(room.folder / "ready")
    pods.pods[0].agent.child.kill()
    pods.scale(2)
    started = pids(pods)
    assert len(started) == 6
    pods.stop()
    assert [pid for pid in started if is_running(pid)] == []
    assert pods.pods == []
    pods.stop()


def test_a_pod_whose_agent_cannot_start_leaves_no_runtime(room: Room) -> None:
    ready = room.folder / "ready"
    pods = room.pods(["/no-such-agent"], runtime=lambda _address: sleeper(ready))
    with pytest.raises(FileNotFoundError):
        pods.scale(1)
    assert pods.pods == []
    assert not ready.exists() or not is_running(pid_in(ready))


def test_nothing_is_started_for_a_pod_that_cannot_be_given_its_environment(room: Room) -> None:
    def runtime(_address: str) -> Sequence[str]:
        raise AssertionError("it would be left behind")

    unknown = {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    with pytest.raises(UnknownFieldError):
        room.pods(runtime=runtime, environment=[URL, unknown]).scale(1)
