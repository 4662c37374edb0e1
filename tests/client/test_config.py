"""Which source wins, and what a configuration file may hold."""

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_async.config import API_KEY, CONFIG, ENDPOINT, LOCAL_FILE, USER_FILE, Config, load, write_config
from sd_async.errors import UsageError
from tests.client.fakes import KEY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    write_config(tmp_path / "work" / LOCAL_FILE, "https://local", "local-key", "local-runtime")
    return tmp_path / "work"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home" / USER_FILE
    path.parent.mkdir(parents=True)
    write_config(path, "https://home", "home-key", "home-runtime")
    return tmp_path / "home"


def test_flags_win_over_the_environment_and_the_environment_over_the_file(folder: Path, home: Path) -> None:
    environ = {ENDPOINT: "https://env", API_KEY: "env-key"}
    flags = Config(endpoint="https://flag")
    assert load(flags, None, environ, folder, home) == Config(
        endpoint="https://flag", api_key="env-key", runtime="local-runtime"
    )


def test_an_empty_variable_counts_as_absent(folder: Path, home: Path) -> None:
    known = load(Config(), None, {ENDPOINT: "", API_KEY: "", CONFIG: ""}, folder, home)
    assert known.endpoint == "https://local"


def test_the_working_folders_file_comes_before_the_users(folder: Path, home: Path) -> None:
    assert load(Config(), None, {}, folder, home).api_key == "local-key"
    (folder / LOCAL_FILE).unlink()
    assert load(Config(), None, {}, folder, home).api_key == "home-key"


def test_files_are_not_mixed_so_that_no_foreign_endpoint_gets_the_users_key(folder: Path, home: Path) -> None:
    (folder / LOCAL_FILE).write_text('endpoint = "https://elsewhere"\n')
    assert load(Config(), None, {}, folder, home) == Config(endpoint="https://elsewhere")


def test_a_named_file_is_read_and_no_other(folder: Path, home: Path, tmp_path: Path) -> None:
    write_config(tmp_path / "a.toml", "https://a", "a")
    write_config(tmp_path / "b.toml", "https://b", "b")
    environ = {CONFIG: str(tmp_path / "b.toml")}
    assert load(Config(), None, environ, folder, home) == Config(endpoint="https://b", api_key="b")
    assert load(Config(), tmp_path / "a.toml", environ, folder, home) == Config(endpoint="https://a", api_key="a")


def test_no_file_at_all_is_no_error(tmp_path: Path) -> None:
    assert load(Config(), None, {}, tmp_path, tmp_path) == Config()


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml does not exist"):
        load(Config(), tmp_path / "nowhere.toml", {}, tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"endpoint", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b'key = "x"', "`key`, which is none of endpoint, api_key, runtime"),
        (b"api_key = 7", "`api_key` that is no text"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_where(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / LOCAL_FILE).write_bytes(text)
    with pytest.raises(UsageError) as refusal:
        load(Config(), None, {}, tmp_path, tmp_path)
    assert says in str(refusal.value)
    assert LOCAL_FILE.name in str(refusal.value)


def test_a_written_file_is_for_its_owner_alone_and_replaces_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / LOCAL_FILE
    path.write_text("")
    path.chmod(0o644)
    write_config(path, "https://api", KEY, "comfyui")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == [LOCAL_FILE.name]


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_survives_being_written_and_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("config") / "c.toml"
    write_config(path, text, text, text)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {"endpoint": text, "api_key": text, "runtime": text}


def test_a_configuration_shown_by_mistake_hides_its_key() -> None:
    assert KEY not in repr(Config(endpoint="https://api", api_key=KEY))
