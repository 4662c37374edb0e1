"""Evaluate a Pulumi program in-process; what it declares is created by whoever is passed in.

Stands where the Pulumi engine would (`pulumi.runtime` mocks), because neither engine nor provider plugins
are needed to create a queue on an emulator, and a person who tries the system out has none of them.
"""

import asyncio
import gc
import os
import runpy
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pulumi.runtime import mocks, rpc, run_in_stack, set_all_config, settings
from pulumi.runtime.proto import resource_pb2

Json = dict[str, Any]

STACK_TYPE = "pulumi:pulumi:Stack"

_LOOPS = threading.local()


class DeployError(RuntimeError):
    """The program, or one of its resources, could not be created; the message names it."""


class Placer(Protocol):
    """Creates what the program declares."""

    def create(self, token: str, name: str, inputs: Json) -> tuple[str, Json]:
        """Id and outputs of a new resource. Raises: DeployError, naming a token it does not know."""
        ...

    def call(self, token: str, arguments: Json) -> Json:
        """Result of a provider function. Raises: DeployError, naming a token it does not know."""
        ...


class _Monitor(mocks.MockMonitor, mocks.Mocks):
    """Hands every registration to the placer and keeps the stack's outputs and the first failure."""

    def __init__(self, placer: Placer) -> None:
        super().__init__(self)
        self.placer = placer
        self.outputs: Json = {}
        self.failure: Exception | None = None
        self._one_at_a_time = threading.Lock()  # registrations arrive on several threads

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, Json]:
        if not args.custom:
            return "", args.inputs
        inputs = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
        with self._one_at_a_time:
            try:
                made, outputs = self.placer.create(args.typ, args.name, inputs)
            except Exception as error:
                self.failure = self.failure or error
                raise
        return made, {**inputs, **outputs}

    def call(self, args: mocks.MockCallArgs) -> Any:
        try:
            return self.placer.call(args.token, dict(args.args))
        except Exception as error:
            self.failure = self.failure or error
            raise

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        if request.urn.split("::")[-2] == STACK_TYPE:
            outputs = rpc.deserialize_properties(request.outputs)
            self.outputs = {name: rpc.unwrap_rpc_secret(value) for name, value in outputs.items()}
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        if request.type == STACK_TYPE:
            urn = self.make_urn("", STACK_TYPE, request.name)
            return resource_pb2.RegisterResourceResponse(urn=urn)
        with own_loop():
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the SDK's name
        with own_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]


def evaluate(program: Path, *, project: str, stack: str, config: Mapping[str, str], placer: Placer) -> Json:
    """Stack outputs, in the clear, of the program at `program` once every resource was created.

    config: full keys (`sd-async:runtimes`) to text, objects as JSON, as the Pulumi engine passes them.
    Raises: DeployError, for the first resource that failed, else for what the program itself raised.
    """
    monitor = _Monitor(placer)
    _install(monitor, project, stack)
    set_all_config(dict(config))

    def run() -> None:
        runpy.run_path(str(program), run_name="__main__")

    try:
        with _working_directory(program.parent), without_a_look_for_garbage(), asyncio.Runner() as runner:
            # Everything that waits for a failed resource fails too, unheard; the first failure is told below.
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            runner.run(run_in_stack(run))
    except Exception as error:
        raise _failure(monitor.failure or error, program.parent) from error
    if monitor.failure:
        raise _failure(monitor.failure, program.parent) from monitor.failure
    return monitor.outputs


def _failure(error: Exception, folder: Path) -> DeployError:
    """Messages made for people stay as they are; an exception of Python's own needs its type and place as well."""
    if isinstance(error, DeployError):
        return error
    if type(error).__module__ != "builtins":
        return DeployError(f"The program failed: {error}")
    places = [
        f" ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(f"{folder}/") and "site-packages" not in frame.filename
    ]
    return DeployError(f"The program failed: {type(error).__name__}: {error}{places[-1] if places else ''}")


def _install(monitor: _Monitor, project: str, stack: str) -> None:
    """As `set_mocks`, but without the empty root stack that it makes: this one's outputs are wanted."""
    settings.configure(
        mocks.MockSettings(  # type: ignore[no-untyped-call]
            monitor=monitor,
            monitor_features=set(monitor.GetDeploymentInfo(None).supportedFeatures),  # type: ignore[no-untyped-call]
            engine=mocks.MockEngine(logger=None),
            project=project,
            stack=stack,
            dry_run=False,
            organization=None,
            callbacks=None,
            outputs=set(),  # an earlier program in this process may have been interrupted
        )
    )
    settings.set_root_resource(None)  # type: ignore[arg-type] # of an earlier program in this process


@contextmanager
def own_loop() -> Iterator[None]:
    """An event loop for the SDK's work on this thread; left alone, it makes one per thread and never closes it."""
    loop, outer = asyncio.new_event_loop(), getattr(_LOOPS, "current", None)
    _LOOPS.current = loop
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        _LOOPS.current = outer
        asyncio.set_event_loop(outer)
        loop.close()


@contextmanager
def without_a_look_for_garbage() -> Iterator[None]:
    """The SDK loads and makes objects that stay, so many of them that looking through them takes as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _working_directory(folder: Path) -> Iterator[None]:
    """Pulumi runs a program in its own folder, and relative paths in it mean that."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
