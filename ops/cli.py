"""`sd-async admin`: an operator's commands. Results go to stdout, progress to stderr."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from components.asking import SystemClock
from components.prices import fixed_items
from components.settings import Settings
from local import helm
from ops import drain, image_cache, leaks, models, names, preflight, publish, stacks
from ops.errors import OpsError
from ops.findings import Finding, Status


class Fault(click.ClickException):
    """One sentence and exit code 2, as for everything that the caller can put right."""

    exit_code = 2


@click.group("sd-async admin", context_settings={"help_option_names": ["-h", "--help"]})
def admin() -> None:
    """What an operator does beside `pulumi up`; run it in the repository's folder."""


@admin.command("preflight")
@click.option("--stack", default="dev", show_default=True, help="Check Pulumi.<stack>.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs somewhere else than at AWS.")
def preflight_command(*, stack: str, as_json: bool, endpoint_url: str | None) -> int:
    """Check the settings, this machine and the account before `pulumi up`; exit 1 when there is a problem."""
    try:
        settings = stacks.settings_of(Path.cwd(), stack)
    except OpsError as error:
        raise Fault(str(error)) from error
    session = boto3.Session(region_name=settings.region)
    found = preflight.findings(settings, lambda name: session.client(name, endpoint_url=endpoint_url))
    if as_json:
        click.echo(preflight.report(settings, found))
    else:
        _show_checks(settings, found)
    return 1 if any(row.status is Status.PROBLEM for row in found) else 0


def _show_checks(settings: Settings, found: Sequence[Finding]) -> None:
    checks = Table("check", "", "found", "how to fix", box=None)
    for row in found:
        checks.add_row(row.check, row.status, escape(row.found), escape(row.fix))
    month = Table("an idle month", "$", box=None)
    for item in fixed_items(settings):
        month.add_row(item.name, "not known" if item.usd is None else f"{item.usd:.2f}")
    Console().print(checks, "", month)


@admin.command("names")
@click.option("--stack", default="dev", show_default=True, help="Tell of Pulumi.<stack>.yaml.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the policies that agents' roles need.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs somewhere else than at AWS.")
def names_command(*, stack: str, as_json: bool, endpoint_url: str | None) -> None:
    """Tell what a stack's buckets, table, topics, queues, repositories and agents' roles are called at AWS."""
    try:
        settings = stacks.settings_of(Path.cwd(), stack)
        session = boto3.Session(region_name=settings.region)
        found = names.names(settings, lambda name: session.client(name, endpoint_url=endpoint_url))
    except OpsError as error:
        raise Fault(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        rows = names.rows(found)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:  # no table of rich's, which would break an address over two lines
            click.echo(f"{name:{width}}  {value}")


@admin.command("leaks")
@click.option("--stack", default="dev", show_default=True, help="Look for what belongs to Pulumi.<stack>.yaml.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs somewhere else than at AWS.")
def leaks_command(*, stack: str, endpoint_url: str | None) -> int:
    """List what is left of a stack at AWS: nothing, after `pulumi destroy`. Exit 1 when there is something."""
    try:
        settings = stacks.settings_of(Path.cwd(), stack)
        session = boto3.Session(region_name=settings.region)
        found = leaks.leaks(settings, lambda name: session.client(name, endpoint_url=endpoint_url))
    except OpsError as error:
        raise Fault(str(error)) from error
    for leak in found:
        click.echo(f"{leak.arn}  ({leak.reason})")
    click.echo(f"{len(found)} left of {settings.project}-{settings.stack} in {settings.region}", err=True)
    return 1 if found else 0


@admin.command("drain")
@click.option("--stack", default="dev", show_default=True, help="Drain what belongs to Pulumi.<stack>.yaml.")
@click.option("--timeout", "timeout_s", type=click.IntRange(min=0), default=3600, show_default=True, help="Seconds.")
@click.option("--resume", is_flag=True, help="Take jobs again.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs somewhere else than at AWS.")
def drain_command(*, stack: str, timeout_s: int, resume: bool, endpoint_url: str | None) -> int:
    """Take no more jobs and wait until all are done, before `pulumi destroy`. Exit 1 when some are left in time."""
    try:
        settings = stacks.settings_of(Path.cwd(), stack)
        session = boto3.Session(region_name=settings.region)
        draining = drain.Drain(settings, lambda name: session.client(name, endpoint_url=endpoint_url), SystemClock())
        if resume:
            draining.open()
            return 0
        draining.close()
        is_empty = draining.wait(timeout_s, _tell_counts)
    except OpsError as error:
        raise Fault(str(error)) from error
    left = "nothing is left to do" if is_empty else "there are jobs left; `--resume` takes new ones again"
    click.echo(f"{settings.project}-{settings.stack} takes no jobs; {left}", err=True)
    return 0 if is_empty else 1


def _tell_counts(counts: Mapping[str, drain.Count]) -> None:
    click.echo("  ".join(f"{name}: {each.waiting} wait, {each.running} run" for name, each in counts.items()), err=True)


@admin.command("publish")
@click.option("--stack", default="dev", show_default=True, help="Publish for Pulumi.<stack>.yaml.")
@click.option("--only", type=click.Choice(["images", "chart"]), help="Not the other.")
@click.option("--json", "as_json", is_flag=True, help="What was published as JSON.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs, and its registry, somewhere else than at AWS.")
def publish_command(*, stack: str, only: str | None, as_json: bool, endpoint_url: str | None) -> None:
    """Build the images at CodeBuild, push the chart to ECR, and print the digests; a second run changes nothing."""
    root = Path.cwd()
    try:
        settings = stacks.settings_of(root, stack)
        session = boto3.Session(region_name=settings.region)
        publisher = publish.Publisher(
            settings,
            lambda name: session.client(name, endpoint_url=endpoint_url),
            root,
            clock=SystemClock(),
            tell=partial(click.echo, err=True),
        )
        done = [] if only == "images" else [publisher.chart(_helm, endpoint_url and urlsplit(endpoint_url).netloc)]
        done += [] if only == "chart" else publisher.images()
    except OpsError as error:
        raise Fault(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(each) for each in done], indent=2))
    else:
        for each in done:
            click.echo(f"{'new ' if each.is_new else 'same'}  {each.name}  {each.reference}")


@admin.group("image-cache")
def image_cache_group() -> None:
    """Images that are on a node's disk before it starts."""


@image_cache_group.command("build")
@click.option("--stack", default="dev", show_default=True, help="For the nodes of Pulumi.<stack>.yaml.")
@click.option("--subnet", help="Where the instance runs, with a way to ECR and SSM; else one of the stack's.")
@click.option("--instance-type", default="m5.large", show_default=True, help="An x86-64 type, for half an hour or so.")
@click.option("--json", "as_json", is_flag=True, help="The snapshot as JSON.")
@click.option("--endpoint-url", metavar="URL", help="AWS's APIs somewhere else than at AWS.")
def image_cache_command(
    *, stack: str, subnet: str | None, instance_type: str, as_json: bool, endpoint_url: str | None
) -> None:
    """Make a snapshot with the images in it, and print the setting that gives it to new nodes."""
    root = Path.cwd()
    try:
        settings = stacks.settings_of(root, stack)
        session = boto3.Session(region_name=settings.region)
        clients = partial(session.client, endpoint_url=endpoint_url)
        images = image_cache.references(settings, clients, root)
        cache = image_cache.ImageCache(settings, clients, SystemClock(), partial(click.echo, err=True))
        snapshot = cache.build(images, image_cache.Place(instance_type, subnet))
    except OpsError as error:
        raise Fault(str(error)) from error
    if as_json:
        click.echo(json.dumps({"snapshot_id": snapshot, "setting": image_cache.SETTING, "images": images}, indent=2))
    else:
        section, _, name = image_cache.SETTING.partition(".")
        click.echo(f"{settings.project}:{section}:\n  {name}: {snapshot}")


def _helm(arguments: Sequence[str], stdin: str) -> str:
    try:
        return helm.run(arguments, stdin)
    except (helm.ChartError, helm.HelmMissingError) as error:
        raise OpsError(f"Helm can't do it: {error}") from error


@admin.group("models")
def models_group() -> None:
    """Models of the runtimes."""


@models_group.command("push")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--runtime", required=True, help="Whose models they are; its folder in the bucket.")
@click.option("--bucket", help="The models bucket; else the output `models_bucket` of the stack.")
@click.option("--stack", help="Pulumi stack to ask for the bucket; else the selected one.")
@click.option("--dry-run", is_flag=True, help="Only list what would be sent.")
@click.option("--endpoint-url", metavar="URL", help="S3 somewhere else than at AWS.")
def push(
    *, folder: Path, runtime: str, bucket: str | None, stack: str | None, dry_run: bool, endpoint_url: str | None
) -> int:
    """Send the models in DIR to the bucket: what changed, in parallel, checked by S3; a broken push goes on."""
    try:
        prefix = f"{runtime}/"
        found = models.files(folder, prefix)
        client = boto3.client("s3", endpoint_url=endpoint_url)
        target = models.Bucket(client, bucket or stack_output("models_bucket", stack))
        plan = target.plan(found, prefix)
        if not dry_run:
            _send(target, plan.changed)
    except OpsError as error:
        raise Fault(str(error)) from error
    for model in plan.changed:
        click.echo(f"{'would send' if dry_run else 'sent'}  {model.key}")
    for model in plan.same:
        click.echo(f"same  {model.key}")
    for key in plan.extra:
        click.echo(f"only there  {key}")
    return 0


def _send(target: models.Bucket, changed: Sequence[models.Model]) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for model in changed:
            task = progress.add_task(model.key, total=model.size_bytes)
            target.push(model, partial(_advance, progress, task))


def _advance(progress: Progress, task: TaskID, _key: str, sent: int) -> None:
    progress.advance(task, sent)


def stack_output(name: str, stack: str | None) -> str:
    """An output of the deployed stack. Raises: OpsError, with another way to name it."""
    chosen = ["--stack", stack] if stack else []
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the operator's own words
            ["pulumi", "stack", "output", name, *chosen],  # noqa: S607 - the operator's own pulumi
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = str(getattr(error, "stderr", None) or error).strip()
        raise OpsError(f"Pulumi does not tell {name} ({reason}); name it with --bucket.") from error
    return done.stdout.strip()


def run(arguments: Sequence[str]) -> int:
    """Exit code of `sd-async admin ARGUMENTS`. Raises: ClickException, for the caller to show."""
    code = admin.main(list(arguments), prog_name="sd-async admin", standalone_mode=False)
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
