"""What people see of the chart before they install it."""

import base64
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import yaml

from local import helm
from local.helm import CHART

META = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


def test_the_icon_is_a_picture_of_its_own_and_lies_at_no_strangers_address() -> None:
    kind, _, data = META["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    text = base64.b64decode(data, validate=True)
    assert text == (CHART / "icon.svg").read_bytes(), "base64 of icon.svg goes into Chart.yaml"
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.attrib["viewBox"] == "0 0 64 64"
    assert {each.tag for each in root} <= {f"{SVG}{name}" for name in ("rect", "path", "circle")}, "nothing that runs"


def test_helm_has_nothing_to_say_about_the_chart() -> None:
    said = helm.lint(CHART, [CHART / "ci" / "minimal-values.yaml"])
    assert "[INFO]" not in said
    assert "0 chart(s) failed" in said


def test_the_package_holds_what_an_install_needs_and_no_more(tmp_path: Path) -> None:
    command = [str(helm.find()), "package", str(CHART), "--destination", str(tmp_path)]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    with tarfile.open(tmp_path / f"sd-runtime-{META['version']}.tgz") as package:
        names = {Path(name).relative_to("sd-runtime").parts[0] for name in package.getnames()}
    assert names == {"Chart.yaml", "values.yaml", "values.schema.json", "templates"}


def test_the_readme_says_what_a_network_policy_can_not_do() -> None:
    words = " ".join((CHART / "README.md").read_text(encoding="utf-8").split())
    assert "Kubernetes has none for a container" in words
    assert "holds no credential" in words
