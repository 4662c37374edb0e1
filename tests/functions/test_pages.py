"""The page for people: to whoever asks, bound to what stands in it, and honest about what it can't reach."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from functions.api import pages
from functions.api.routes import PAGES, page_for, route_for
from tests.functions.conftest import Caller
from tests.functions.fakes import event_of

[CONSOLE] = PAGES
TEXT = pages.load()[CONSOLE].text
JOB_ID = "00000000-0000-4000-8000-000000000001"


def served(caller: Caller, **options: Any) -> dict[str, Any]:
    return caller.api(event_of("GET", "/console", key_id=None, **options))


def test_the_page_is_served_without_a_key_and_without_a_look_at_any_store(caller: Caller) -> None:
    caller.store.failing |= {name: AssertionError("asked") for name in ("add", "get")}
    answer = served(caller)
    assert (answer["statusCode"], answer["headers"]["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer["body"] == TEXT


def test_a_page_is_no_route_of_the_machine_and_only_read() -> None:
    assert page_for("GET", "/console/") is CONSOLE
    assert page_for("POST", "/console") is None
    assert route_for("GET", "/console") is None


def test_a_page_leaves_one_line_which_names_nobody(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    served(caller)
    [line] = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert line == {"level": "INFO", "event": "page", "route": "/console", "status": 200, "request_id": "request-1"}


def test_a_browser_runs_and_reaches_only_what_the_page_holds() -> None:
    headers = pages.load()[CONSOLE].headers
    rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    for kind in ("script", "style"):
        [content] = re.findall(rf"<{kind}>(.*?)</{kind}>", TEXT, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["connect-src"], rules["frame-ancestors"]) == ("'none'", "'self'", "'none'")


def test_a_page_without_a_script_may_run_none() -> None:
    assert "script-src 'none'" in pages.page("<p>text</p>").headers["Content-Security-Policy"]


def test_the_page_is_complete_in_itself_and_small() -> None:
    assert len(TEXT.encode()) < 20_000
    assert not re.findall(r"(?:src|href)=|@import|url\(", TEXT), "nothing is fetched from elsewhere"
    assert not re.findall(r"innerHTML|insertAdjacent|document\.write|localStorage|eval\(", TEXT)


# What the page's script meets instead of a browser: elements by id, one answer for each question, no waiting.
BROWSER = """
const made = () => ({ hidden: true, value: "", textContent: "", children: [],
  addEventListener(name, heard) { this.heard = heard; }, replaceChildren(...all) { this.children = all; } });
const elements = {};
const calls = [];
globalThis.document = {
  getElementById: (id) => (elements[id] ??= made()),
  createElement: (tag) => ({ tag }),
};
globalThis.location = new URL(given.at);
globalThis.setTimeout = (wake) => { queueMicrotask(wake); };
globalThis.fetch = async (url, options) => {
  calls.push([url, options.headers["x-api-key"]]);
  const [status, body] = given.answers[Math.min(calls.length, given.answers.length) - 1];
  return { ok: status < 400, status, json: async () => body };
};
"""
AFTERWARDS = """
document.getElementById("key").value = " the-key ";
document.getElementById("id").value = given.id;
elements.look.heard({ preventDefault() {} });
setImmediate(() => console.log(JSON.stringify({ asked: calls, state: elements.state.textContent,
  busy: !elements.progress.hidden, outputs: elements.outputs.children, curl: elements.curl.textContent })));
"""


def run(answers: list[tuple[int, Any]], at: str = "https://api.example/dev/console") -> dict[str, Any]:
    """What the page's script does with these answers, run by Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on PATH, which runs the page's script")
    [script] = re.findall(r"<script>(.*?)</script>", TEXT, re.DOTALL)
    given = json.dumps({"answers": answers, "at": at, "id": JOB_ID})
    code = f"const given = {given};{BROWSER}{script}{AFTERWARDS}"
    done = subprocess.run([node, "-"], input=code, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def job(status: str, **more: Any) -> tuple[int, Any]:
    return 200, {"status": status, "error": None, "progress": {"value": 0.5}, "outputs": []} | more


@pytest.mark.parametrize(
    ("at", "base"),
    [
        ("https://api.example/dev/console", "https://api.example/dev"),
        ("https://images.example.com/console/", "https://images.example.com"),
    ],
)
def test_the_api_is_found_beside_the_page_whatever_stands_in_front(at: str, base: str) -> None:
    found = run([job("succeeded")], at)
    assert found["asked"] == [[f"{base}/v1/jobs/{JOB_ID}", "the-key"]]
    assert f"'{base}/v1/jobs'" in found["curl"]


def test_a_job_is_followed_until_it_ends_and_its_images_are_shown() -> None:
    image = {"name": "a.png", "content_type": "image/png", "url": "https://s3.example/a.png"}
    sound = {"name": "a.wav", "content_type": "audio/wav", "url": "https://s3.example/a.wav"}
    found = run([job("queued"), job("running"), job("succeeded", outputs=[image, sound])])
    assert (len(found["asked"]), found["state"], found["busy"]) == (3, "succeeded", False)
    assert found["outputs"] == [
        {"tag": "img", "src": "https://s3.example/a.png", "alt": "a.png"},
        {"tag": "a", "href": "https://s3.example/a.wav", "textContent": "a.wav"},
    ]


def test_why_a_job_failed_and_why_a_question_was_refused_are_said_in_words() -> None:
    assert run([job("failed", error={"message": "no such model"})])["state"] == "failed: no such model"
    refused = run([(404, {"error": {"message": "There is no such job."}})])
    assert (refused["state"], len(refused["asked"])) == ("404: There is no such job.", 1)
