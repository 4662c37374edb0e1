"""What checkov says about the examples, where it is installed: nothing that has no reason here.

It wants other versions of packages that the lock pins, so it lives outside: `pipx install checkov`.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from local.helm import template
from tests.chart.test_examples import EXAMPLES, NAMESPACE, release, values

CHECKOV = shutil.which("checkov")
SKIPS = {
    "CKV_K8S_11": "CPU limits throttle a process that has the node to itself; requests place it",
    "CKV_K8S_13": "a memory limit of the runtime would end it while a model loads; the node's memory is its own",
    "CKV_K8S_15": "images of many GiB are pinned by tag or digest, so pulling them again brings nothing new",
    "CKV_K8S_43": "the examples' images have no digest that is known; `image.digest` is where an install names it",
}


@pytest.mark.skipif(CHECKOV is None, reason="checkov is not on PATH; `pipx install checkov` brings it.")
def test_checkov_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    for path in EXAMPLES:
        text = template(values=values(path), chart=path.parents[1], release=release(path), namespace=NAMESPACE)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    command = [str(CHECKOV), "--framework", "kubernetes", "--output", "json", "--quiet", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 200, "it looked at the pods"
    assert {check["check_id"] for check in report["results"]["failed_checks"]} == set(SKIPS), "or a skip has no use"
