"""The AWS emulator as a child process: ministack on a free loopback port, with a folder of its own."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import httpx
from botocore.config import Config

from local.processes import Child, ProcessFailedError, base_environment, free_port, python_module

READY_WAIT_S = 30.0  # it answers after 0.2 s; a cold disk on a busy machine needs more
REGION = "us-west-2"
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class Emulator:
    """A running emulator. endpoint: its base URL."""

    endpoint: str
    child: Child
    region: str = REGION

    @cached_property
    def session(self) -> boto3.Session:
        """Takes nothing from the environment and the files in which a person keeps their own accounts."""
        nothing = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull, "ca_bundle": None}
        own = botocore.session.Session({name: (None, None, value, None) for name, value in nothing.items()})
        return boto3.Session(
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=self.region,
            botocore_session=own,
        )

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client of one service; presigned URLs work only with SigV4 and path-style addresses."""
        direct = Config(proxies={})
        if service == "s3":
            direct = direct.merge(Config(signature_version="s3v4", s3={"addressing_style": "path"}))
        return self.session.client(
            service, endpoint_url=self.endpoint, config=direct.merge(config) if config else direct
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to take the emulator for AWS."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": self.region, **CREDENTIALS}

    def reset(self) -> None:
        """Empty it of everything."""
        httpx.post(f"{self.endpoint}/_ministack/reset", timeout=READY_WAIT_S, trust_env=False).raise_for_status()


@contextlib.contextmanager
def running(folder: Path, region: str = REGION, command: Sequence[str] = ()) -> Iterator[Emulator]:
    """An emulator until the block ends. folder: an existing folder for its log and temporary files.

    command: a program that is the emulator and more, as measurements need one.

    Raises: ProcessFailedError, with the last lines of its log.
    """
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    scratch = Path(tempfile.mkdtemp(prefix="emulator-", dir=folder))
    environment = base_environment(scratch) | {
        "BIND_HOST": "127.0.0.1",  # without it, it listens on every address
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,  # Lambda functions inherit its environment
        "AWS_REGION": region,
        "LOG_LEVEL": "WARNING",
        **CREDENTIALS,
    }
    log = scratch / "emulator.log"
    command = command or python_module("ministack")
    child = Child("emulator", command, environment=environment, log=log, cwd=scratch)
    try:
        _wait_until_ready(endpoint, child)
        yield Emulator(endpoint, child, region)
    finally:
        child.stop()


def _wait_until_ready(endpoint: str, child: Child) -> None:
    deadline = time.monotonic() + READY_WAIT_S
    while time.monotonic() < deadline and child.exit_code() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{endpoint}/_ministack/health", timeout=2, trust_env=False).is_success:
                return
        time.sleep(0.05)
    raise ProcessFailedError(f"The AWS emulator did not start; its last words:\n{child.last_lines()}")
