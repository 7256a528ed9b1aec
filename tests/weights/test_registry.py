"""``weights.toml``: what is packaged, what a user adds, and what a user is told about mistakes."""

import hashlib
from pathlib import Path

import pytest

from defocusctl.errors import WeightsError
from defocusctl.weights.hub import HubFile
from defocusctl.weights.registry import load_registry
from tests.machine import make_fresh_machine

ENTRY = """
[[weights]]
model = "nrknet"
name = "mine"
configuration = "from shapes"
sources = ["hf://someone/some.repo/folder/net.safetensors@v1", "https://example.org/net.safetensors?x=1"]
digest = "sha256:{zeros}"
licence = "CC0"
trained_on = "my photos"
channel_order = "RGB"
""".replace("{zeros}", "0" * 64)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_fresh_machine(monkeypatch, tmp_path)


def add_users_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text)
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(path))
    return path


@pytest.mark.parametrize(
    ("model", "name", "repository", "blob"),
    [
        ("iniknet", "dpdd", "xinyao240/INIKNet", "a8887a1faac5f5e1b0b1fefbe1b1630124ab5695"),
        ("nrknet", "dpdd", "csZcWu/NRKNet", "b6218811d49f347f915b553cb8fc2da70ef8dc64"),
        ("nrknet", "lfdof", "csZcWu/NRKNet", "d6b4cf8dd7f2e9f984b85623ab9fc1c441e8efd6"),
    ],
)
def test_the_authors_checkpoints_are_there(model: str, name: str, repository: str, blob: str) -> None:
    entry = load_registry().find(model, name)
    assert str(entry.checksum) == f"git-blob:{blob}"
    assert str(entry.sources[0]).startswith(f"https://raw.githubusercontent.com/{repository}/")
    assert (entry.channel_order, entry.licence, entry.configuration) == ("BGR", "MIT", None)
    assert entry.scores


def test_alexnet_is_known_by_the_start_of_its_hash() -> None:
    (entry,) = load_registry().default_order("alexnet")
    assert entry.label == "alexnet/imagenet"
    assert str(entry.checksum) == "sha256-prefix:7be5be79"
    assert [str(source) for source in entry.sources] == [
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    ]


@pytest.mark.parametrize("model", ["iniknet", "nrknet"])
def test_the_authors_come_first_and_the_bundled_ones_second(model: str) -> None:
    first, second = load_registry().default_order(model)
    assert (first.name, second.name) == ("dpdd", "bundled")
    assert not first.is_bundled
    assert second.is_bundled
    assert second.remote_sources == ()


def test_the_users_file_adds_entries_and_reorders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_users_file(monkeypatch, tmp_path, f'[default-order]\nnrknet = ["mine", "bundled"]\n{ENTRY}')
    registry = load_registry()
    assert [entry.label for entry in registry.default_order("nrknet")] == ["nrknet/mine", "nrknet/bundled"]
    assert [entry.name for entry in registry.default_order("iniknet")] == ["dpdd", "bundled"]
    assert registry.find("nrknet", "mine").sources == (
        "hf://someone/some.repo/folder/net.safetensors@v1",
        "https://example.org/net.safetensors?x=1",
    )


def test_the_config_directory_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "config" / "defocusctl" / "weights.toml"
    path.parent.mkdir(parents=True)
    path.write_text(ENTRY)
    assert load_registry().find("nrknet", "mine").licence == "CC0"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "licence =",
            "lisence =",
            "(nrknet/mine): unknown key 'lisence' (allowed: about, channel_order, configuration",
        ),
        ('licence = "CC0"', "", "weights entry 1 (nrknet/mine), licence is missing"),
        ('licence = "CC0"', "licence = 3", "(nrknet/mine), licence = 3: input should be a valid string"),
        (
            'model = "nrknet"',
            'model = "nrknt"',
            "unknown model 'nrknt': allowed: alexnet, blur-radius, iniknet, nrknet",
        ),
        ('name = "mine"', 'name = "bundled"', "(nrknet/bundled): that name is the package's own"),
        ('name = "mine"', 'name = "../up"', "name: '../up' is not of lower-case letters"),
        ('"RGB"', '"GRB"', "channel_order = 'GRB': input should be 'RGB' or 'BGR'"),
        ("sha256:0", "sha256:z", "digest: 'sha256:z"),
        ("sha256:", "md5:", "is not 'sha256:' and 64"),
        ("sha256:", "sha256-prefix:", "'git-blob:' and 40, or 'sha256-prefix:' and 8 to 63 lower-case hex"),
        ('"sha256:' + "0" * 64, '"sha256-prefix:7be5be7', "'sha256-prefix:7be5be7' is not"),
        ("@v1", "", "is not hf://owner/repo/file@revision"),
        (".safetensors?x=1", ".zip", "does not name a file ending in .safetensors, .pth, .pt"),
        ("https:", "ftp:", "is none of 'bundled', https://"),
        ('"from shapes"', '"guess"', "configuration = 'guess' must be a table"),
        ('licence = "CC0"', 'licence = "CC0"\nsize = -3', "size = -3: input should be greater than 0"),
        (
            'licence = "CC0"',
            'licence = "CC0"\nscores = [{data = "x", pnsr = 3}]',
            "scores entry 1: unknown key 'pnsr'",
        ),
        ('licence = "CC0"', "licence =", "is not valid TOML"),
        ("[[weights]]", "[weights]", "weights must be a list"),
        (
            "[[weights]]",
            '[default-order]\nnrknet = ["dpd"]\n[[weights]]',
            "unknown name 'dpd': allowed: dpdd, lfdof",
        ),
    ],
)
def test_a_mistake_is_named_with_file_key_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in ENTRY
    path = add_users_file(monkeypatch, tmp_path, ENTRY.replace(old, new))
    with pytest.raises(WeightsError) as caught:
        load_registry()
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_same_entry_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_users_file(monkeypatch, tmp_path, ENTRY + ENTRY)
    with pytest.raises(WeightsError, match="weights entry 2: nrknet/mine is there already"):
        load_registry()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(path))
    with pytest.raises(WeightsError, match=r"own\.toml"):
        load_registry()


def test_a_file_of_the_environment_that_is_missing_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "missing.toml"
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", str(path))
    with pytest.raises(WeightsError) as caught:
        load_registry()
    assert caught.value.cause == f"DEFOCUSCTL_WEIGHTS names the file {path}, which does not exist"
    assert caught.value.remedy == "correct or unset that variable"


def test_unknown_names_list_what_there_is() -> None:
    registry = load_registry()
    with pytest.raises(WeightsError, match="known for nrknet: dpdd, lfdof, bundled"):
        registry.find("nrknet", "dppd")
    with pytest.raises(WeightsError, match=r"known models: iniknet, nrknet, blur-radius, alexnet$"):
        registry.select("unet/dpdd")
    assert [entry.name for entry in registry.select("nrknet")] == ["dpdd", "lfdof", "bundled"]


def test_a_file_is_known_by_its_whole_hash_or_the_start_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert load_registry().with_checksum(path) is None
    for checksum in (f"sha256:{sha256}", f"sha256-prefix:{sha256[:8]}", f"sha256-prefix:{sha256[:63]}"):
        add_users_file(monkeypatch, tmp_path, ENTRY.replace("sha256:" + "0" * 64, checksum))
        entry = load_registry().with_checksum(path)
        assert entry is not None
        assert (entry.label, str(entry.checksum)) == ("nrknet/mine", checksum)


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("hf://owner/repo/deep/file.safetensors@abc", HubFile("owner/repo", "deep/file.safetensors", "abc")),
        ("hf://owner/repo@v2", HubFile("owner/repo", "model.safetensors", "v2")),
        ("hf://owner/repo", HubFile("owner/repo", "model.safetensors", "main")),
    ],
)
def test_files_of_the_hub_are_read_as_they_are_written(text: str, file: HubFile) -> None:
    assert HubFile.parse(text) == file
    assert HubFile.parse(str(file)) == file
