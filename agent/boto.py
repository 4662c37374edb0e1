"""boto3 without the AWS CRT, which it loads wherever it is installed.

The image has it for the copying of models, which is another process. Here it would take 6 MB and 50 ms for nothing.
"""

import sys
from typing import Any

_CRT = "awscrt"
_known: Any = sys.modules.get(_CRT)
sys.modules[_CRT] = None  # type: ignore[assignment] # an import of it fails, as if it were not installed
try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        CredentialRetrievalError,
        NoCredentialsError,
        PartialCredentialsError,
    )
finally:
    del sys.modules[_CRT]
    if _known is not None:
        sys.modules[_CRT] = _known

__all__ = [
    "BotoCoreError",
    "ClientError",
    "Config",
    "CredentialRetrievalError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "boto3",
]
