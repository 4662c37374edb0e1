"""The `sd-async` command: submit, get, wait, download.

Results go to stdout, everything else to stderr. Its exit codes stand in `sd_async.command`.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console

from sd_async import __version__, config, show
from sd_async.client import Client
from sd_async.command import EXIT_FAILED, App
from sd_async.contract.jobs import IMAGE_FORMATS, METADATA_CHOICES, Job, JobType, OutputOptions
from sd_async.contract.states import FINAL, Status
from sd_async.errors import SdAsyncError, UsageError
from sd_async.jobfile import Overrides, files_of, request_of
from sd_async.progress import ProgressLine

_META = "sd_async"
_PATH = click.Path(path_type=Path)
_EPILOG = """\b
Examples:
  sd-async submit workflow.json --runtime sd15 --watch -o out
  sd-async submit job.json --json | jq -r .id
  sd-async wait 9f0c2b0e-6d0b-4f5e-8a53-3a3f0e6f1c55 --wait-timeout 600
\b
Endpoint and key: flags, then SD_ASYNC_ENDPOINT and SD_ASYNC_API_KEY, then the file
SD_ASYNC_CONFIG, ./.sd-async.toml or ~/.config/sd-async/config.toml, whichever is
found first (keys endpoint, api_key, runtime).
\b
Exit codes: 0 done, 1 the job failed or was canceled, 2 usage or configuration,
3 the API refused, 4 it cannot be reached, 5 the wait timed out, 130 Ctrl-C."""


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        context.meta[f"{_META}.{parameter.name}"] = value


def _shared(*, hidden: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The global options; every command takes them too, since that is where people write them."""
    rows: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (("--endpoint",), {"metavar": "URL", "help": "The API's address, stage included."}),
        (("--api-key",), {"metavar": "KEY", "help": "Better set in the environment, unseen by other users."}),
        (("--config",), {"type": _PATH, "help": "Read this configuration file and no other."}),
        (("--json",), {"is_flag": True, "help": "Print one JSON document; errors are JSON too."}),
    ]

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for names, attributes in reversed(rows):
            option = click.option(*names, expose_value=False, callback=_remember, hidden=hidden, **attributes)
            function = option(function)
        return function

    return decorate


_output = click.option("-o", "--output", "folder", type=_PATH, help="Save the outputs in this folder.")
_wait_timeout = click.option(
    "--wait-timeout", "wait_timeout_s", type=click.FloatRange(min=0), help="Stop waiting after so many seconds."
)


@click.group("sd-async", cls=App, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@_shared(hidden=False)
@click.version_option(__version__, prog_name="sd-async")
def cli() -> None:
    """Asynchronous image generation: hand in a job, watch it, fetch what it made."""


@cli.command(short_help="Hand in a workflow or a job's body.")
@_shared(hidden=True)
@click.argument("file", type=click.File("rb"))
@click.option("--runtime", help="Which runtime does it; a bare workflow needs it here or in the configuration.")
@click.option("--type", "kind", type=click.Choice([str(kind) for kind in JobType]), help="Kind of job.")
@click.option("--file", "pairs", multiple=True, metavar="NAME=URL", help="A file the workflow names; repeatable.")
@click.option("--prefix", help="Folder of the outputs in the bucket.")
@click.option("--format", "image_format", type=click.Choice(IMAGE_FORMATS), help="Images in this format.")
@click.option("--quality", type=click.IntRange(1, 100), help="Of jpeg or webp.")
@click.option(
    "--metadata", type=click.Choice(METADATA_CHOICES), help="`strip` takes prompt and workflow out of images."
)
@click.option("--timeout", "timeout_s", type=click.IntRange(min=1), help="Seconds the job may run.")
@click.option("--idempotency-key", metavar="KEY", help="The same key again gives the same job, not a second one.")
@click.option("--watch", is_flag=True, help="Show the job until it ends; -o implies it.")
@_output
@_wait_timeout
@click.pass_context
def submit(  # noqa: PLR0913 - one argument per option
    context: click.Context,
    /,
    *,
    file: IO[bytes],
    runtime: str | None,
    kind: str | None,
    pairs: tuple[str, ...],
    prefix: str | None,
    image_format: str | None,
    quality: int | None,
    metadata: str | None,
    timeout_s: int | None,
    idempotency_key: str | None,
    watch: bool,
    folder: Path | None,
    wait_timeout_s: float | None,
) -> int:
    """Hand in FILE: a workflow in ComfyUI's API format, or a whole `POST /v1/jobs` body. `-` reads stdin."""
    session = Session(context)
    overrides = Overrides(
        runtime=runtime,
        type=JobType(kind) if kind else None,
        files=files_of(pairs),
        output_prefix=prefix,
        timeout_s=timeout_s,
        output=OutputOptions(format=image_format, quality=quality, metadata=metadata),
    )
    request = request_of(file.read(), overrides, session.config.runtime)
    with session.client() as client:
        job = client.submit(request, idempotency_key)
        if watch or folder is not None:
            return session.follow(client, job.id, job, wait_timeout_s, folder)
    session.tell(f"Accepted; `sd-async wait {job.id}` waits for it.")
    session.print(job, [job.id])
    return 0


@cli.command()
@_shared(hidden=True)
@click.argument("job_id", metavar="ID")
@click.pass_context
def get(context: click.Context, job_id: str) -> int:
    """Show the job ID as it is now."""
    session = Session(context)
    with session.client() as client:
        job = client.get(job_id)
    session.print(job, show.as_lines(job))
    return 0


@cli.command()
@_shared(hidden=True)
@click.argument("job_id", metavar="ID")
@_output
@_wait_timeout
@click.pass_context
def wait(context: click.Context, job_id: str, folder: Path | None, wait_timeout_s: float | None) -> int:
    """Wait until the job ID has ended."""
    session = Session(context)
    with session.client() as client:
        return session.follow(client, job_id, None, wait_timeout_s, folder)


@cli.command()
@_shared(hidden=True)
@click.argument("job_id", metavar="ID")
@click.option("-o", "--output", "folder", type=_PATH, default=".", show_default=True, help="Where the files go.")
@click.pass_context
def download(context: click.Context, job_id: str, folder: Path) -> int:
    """Save the outputs of the job ID, which has ended."""
    session = Session(context)
    with session.client() as client:
        job = client.get(job_id)
        if job.status not in FINAL:
            raise UsageError(f"Job {job_id} is {job.status}; `sd-async wait {job_id} -o {folder}` waits and saves.")
        return session.finish(client, job, folder)


@cli.command("admin", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def admin(arguments: tuple[str, ...]) -> int:
    """An operator's commands: models, pre-flight. Run it in the repository's folder."""
    from sd_async import admin as operator  # noqa: PLC0415 - a client's commands start without it

    return operator.run(arguments)


class Session:
    """What the commands share: configuration, client and how results are shown. `context.obj` is a test's client."""

    def __init__(self, context: click.Context) -> None:
        given = {name: context.meta.get(f"{_META}.{name}") for name in ("endpoint", "api_key", "config", "json")}
        flags = config.Config(endpoint=given["endpoint"], api_key=given["api_key"])
        self.config = config.load(flags, given["config"], os.environ, Path.cwd(), Path.home())
        self._is_json = bool(given["json"])
        self._connect: Callable[[str, str], Client] = context.obj or Client

    def client(self) -> Client:
        if not self.config.endpoint:
            raise UsageError(f"No endpoint is known; give --endpoint, set {config.ENDPOINT} or write .sd-async.toml.")
        if not self.config.api_key:
            raise UsageError(f"No API key is known; set {config.API_KEY}, give --api-key or write .sd-async.toml.")
        return self._connect(self.config.endpoint, self.config.api_key)

    def print(self, job: Job, lines: list[str], files: list[Path] | None = None) -> None:
        click.echo(show.as_json(job, files) if self._is_json else "\n".join(lines))

    def tell(self, sentence: str) -> None:
        if not self._is_json:
            click.echo(sentence, err=True)

    def follow(
        self, client: Client, job_id: str, last: Job | None, timeout_s: float | None, folder: Path | None
    ) -> int:
        """Exit code of a job that is shown until it ends; when it is left alone, its id is printed, or the job in JSON.

        last: the job as the API accepted it.
        """
        self.tell(f"Job {job_id}")

        def see(changed: Job) -> None:
            nonlocal last
            last = changed
            line.show(changed)

        try:
            with ProgressLine(Console(stderr=True, quiet=self._is_json)) as line:
                job = client.wait(job_id, timeout_s=timeout_s, on_change=see)
        except (SdAsyncError, KeyboardInterrupt):
            if last is not None:
                self.tell(f"The job goes on; `sd-async wait {job_id}` waits for it again.")
            if last is not None and self._is_json:
                self.print(last, [])
            raise
        return self.finish(client, job, folder)

    def finish(self, client: Client, job: Job, folder: Path | None) -> int:
        """Exit code of a job that has ended, after its outputs are saved and named."""
        files = None if folder is None else client.download(job, folder)
        lines = [output.s3_uri for output in job.outputs] if files is None else [str(path) for path in files]
        if lines or self._is_json:
            self.print(job, lines, files)
        return 0 if job.status is Status.SUCCEEDED else EXIT_FAILED


def main() -> None:
    cli.main(prog_name="sd-async")
