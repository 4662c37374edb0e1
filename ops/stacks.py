"""The stack file that an operator's command is about."""

from pathlib import Path
from typing import Any

import yaml

from components.settings import Settings, SettingsError, parse
from ops.errors import OpsError


def settings_of(root: Path, stack: str) -> Settings:
    """Settings of `Pulumi.<stack>.yaml`. Raises: OpsError, with everything that is wrong in it."""
    path = root / f"Pulumi.{stack}.yaml"
    try:
        project: Any = yaml.safe_load((root / "Pulumi.yaml").read_text())
        document: Any = yaml.safe_load(path.read_text())
        return parse(project["name"], stack, document["config"])
    except SettingsError as error:
        raise OpsError(str(error)) from error
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise OpsError(f"{path.name} can't be read: {error}; name another stack with --stack.") from error
