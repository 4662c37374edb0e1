"""A push sends what changed and nothing else, in parts that S3 checks, and goes on where it was broken off."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from ops.errors import OpsError
from ops.models import MIN_PART_BYTES, Bucket, Model, files, parts, whole_sum
from tests.ops.conftest import BUCKET

PART = MIN_PART_BYTES
BIG = b"a" * PART + b"b" * PART + b"c" * 17


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Stable-diffusion").mkdir()
    (tmp_path / "Stable-diffusion" / "sdxl.safetensors").write_bytes(BIG)
    (tmp_path / "VAE").mkdir()
    (tmp_path / "VAE" / "small.pt").write_bytes(b"vae")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "junk").write_bytes(b"junk")
    return tmp_path


def pushed(s3: S3Client, folder: Path) -> dict[str, int]:
    """Bytes that were told of, by key, of a push of everything that changed."""
    told: dict[str, int] = {}
    bucket = Bucket(s3, BUCKET, PART)
    for model in bucket.plan(files(folder, "sd15/"), "sd15/").changed:
        bucket.push(model, lambda key, sent: told.update({key: told.get(key, 0) + sent}))
    return told


class Failing:
    """S3 whose line breaks at one part; counts what was sent."""

    def __init__(self, s3: S3Client, broken_part: int | None) -> None:
        self._s3, self._broken = s3, broken_part
        self.sent: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def upload_part(self, **given: Any) -> Any:
        if given["PartNumber"] == self._broken:
            raise ClientError({"Error": {"Code": "RequestTimeout", "Message": "the line broke"}}, "UploadPart")
        self.sent.append(given["PartNumber"])
        return self._s3.upload_part(**given)


def test_the_models_lie_in_their_runtimes_folder_byte_for_byte(s3: S3Client, folder: Path) -> None:
    told = pushed(s3, folder)
    assert told == {"sd15/Stable-diffusion/sdxl.safetensors": len(BIG), "sd15/VAE/small.pt": 3}
    assert s3.get_object(Bucket=BUCKET, Key="sd15/Stable-diffusion/sdxl.safetensors")["Body"].read() == BIG
    assert s3.get_object(Bucket=BUCKET, Key="sd15/VAE/small.pt")["Body"].read() == b"vae"


def test_hidden_files_stay_at_home(folder: Path) -> None:
    assert [model.key for model in files(folder, "r/")] == ["r/Stable-diffusion/sdxl.safetensors", "r/VAE/small.pt"]


def test_what_is_there_already_is_not_sent_again(s3: S3Client, folder: Path) -> None:
    pushed(s3, folder)
    assert pushed(s3, folder) == {}


def test_a_change_that_keeps_the_size_is_noticed(s3: S3Client, folder: Path) -> None:
    pushed(s3, folder)
    changed = BIG[:-1] + b"x"
    (folder / "Stable-diffusion" / "sdxl.safetensors").write_bytes(changed)
    assert set(pushed(s3, folder)) == {"sd15/Stable-diffusion/sdxl.safetensors"}
    assert s3.get_object(Bucket=BUCKET, Key="sd15/Stable-diffusion/sdxl.safetensors")["Body"].read() == changed


def test_what_only_the_bucket_has_is_named_and_left_there(s3: S3Client, folder: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="sd15/Lora/old.pt", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="other/Lora/theirs.pt", Body=b"")
    plan = Bucket(s3, BUCKET, PART).plan(files(folder, "sd15/"), "sd15/")
    assert plan.extra == ("sd15/Lora/old.pt",)


def test_a_broken_push_goes_on_with_the_parts_that_are_missing(s3: S3Client, folder: Path) -> None:
    model = files(folder, "sd15/")[0]
    with pytest.raises(OpsError, match=r"the line broke.* The same command goes on from there"):
        Bucket(Failing(s3, broken_part=3), BUCKET, PART).push(model, lambda _key, _sent: None)  # type: ignore[arg-type] # stands for a client
    again = Failing(s3, broken_part=None)
    Bucket(again, BUCKET, PART).push(model, lambda _key, _sent: None)  # type: ignore[arg-type] # stands for a client
    assert again.sent == [3]
    assert s3.get_object(Bucket=BUCKET, Key=model.key)["Body"].read() == BIG
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_parts_of_an_older_content_are_sent_anew(s3: S3Client, folder: Path) -> None:
    model = files(folder, "sd15/")[0]
    with pytest.raises(OpsError):
        Bucket(Failing(s3, broken_part=3), BUCKET, PART).push(model, lambda _key, _sent: None)  # type: ignore[arg-type] # stands for a client
    changed = b"z" + BIG[1:]
    model.path.write_bytes(changed)
    again = Failing(s3, broken_part=None)
    Bucket(again, BUCKET, PART).push(model, lambda _key, _sent: None)  # type: ignore[arg-type] # stands for a client
    assert sorted(again.sent) == [1, 3]
    assert s3.get_object(Bucket=BUCKET, Key=model.key)["Body"].read() == changed


def test_an_empty_file_is_a_file(s3: S3Client, tmp_path: Path) -> None:
    (tmp_path / "put-models-here").write_bytes(b"")
    assert pushed(s3, tmp_path) == {"sd15/put-models-here": 0}
    assert pushed(s3, tmp_path) == {}


def test_the_sum_of_a_whole_is_what_s3_keeps(s3: S3Client, folder: Path) -> None:
    pushed(s3, folder)
    for model in files(folder, "sd15/"):
        kept = s3.head_object(Bucket=BUCKET, Key=model.key, ChecksumMode="ENABLED")["ChecksumSHA256"]
        assert kept == whole_sum(list(parts(model.path, PART)))


@pytest.mark.parametrize(("name", "reason"), [("missing", "is no folder"), ("", "holds no file to push")])
def test_a_folder_without_models_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(OpsError, match=reason):
        files(tmp_path / name, "r/")


def test_a_bucket_that_cannot_be_read_is_one_sentence(s3: S3Client, folder: Path) -> None:
    model = Model(folder / "VAE" / "small.pt", "k", 3)
    with pytest.raises(OpsError, match="The bucket nowhere can't be read"):
        Bucket(s3, "nowhere", PART).plan([model], "")
