"""Networks of installed packages: one that works, from docs/adding-a-model.md, and all kinds that do not."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from defocusctl import Deblurrer, ModelError
from defocusctl.errors import ExitCode
from defocusctl.weights.registry import load_registry
from tests.cli.command import Answer, defocusctl, photo_file, small_weights
from tests.training.tiny import write_data

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1].parent
PLUGIN = ROOT / "tests" / "plugin"
MODULE = "defocusctl_tinynet"
PAGE = (ROOT / "docs" / "adding-a-model.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the plug-in of the tests is installed into, by pip."""
    source = shutil.copytree(PLUGIN, tmp_path_factory.mktemp("source") / "plugin")
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", target]
    subprocess.run([*pip, *options, source], check=True, capture_output=True)
    return target


@pytest.fixture
def installed(site: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a machine with the plug-in."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return home


def tinynet_weights() -> Path:
    """What the page says about saving weights, run; the weights themselves are random."""
    torch.manual_seed(1)
    (block,) = (block for block in blocks("python") if "save_checkpoint" in block)
    exec(compile(block, "docs/adding-a-model.md", "exec"), {})
    return Path("tinynet.safetensors")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_package_of_the_tests() -> None:
    assert blocks("python")[0] == (PLUGIN / "src" / MODULE / "__init__.py").read_text(encoding="utf-8")
    assert blocks("toml") == [(PLUGIN / "pyproject.toml").read_text(encoding="utf-8")]


def test_a_photo_is_deblurred_with_it_through_the_command_line(installed: Path, site: Path) -> None:
    weights = tinynet_weights()
    with Image.open(ROOT / "samples" / "circuit-board.png") as sample:
        photo = np.asarray(sample.convert("RGB").crop((200, 200, 280, 264)))
    Image.fromarray(photo).save("photo.png")
    options = ["--model", "tinynet", "--weights", weights, "--precision", "fp32", "--scale", "1", "--json"]
    options += ["--tile", "48"]
    done = subprocess.run(
        [sys.executable, "-m", "defocusctl", "deblur", "photo.png", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["model"], report["overlap"]) == ("tinynet", 3)
    assert report["tiles"] > 1
    from defocusctl_tinynet import TinyNet

    torch.manual_seed(1)
    with torch.inference_mode():
        framed = np.pad(photo, ((16, 16), (16, 16), (0, 0)), mode="reflect")
        x = torch.from_numpy(framed.transpose(2, 0, 1).copy())[None] / 255
        answer = TinyNet()(x).image[0, :, 16:-16, 16:-16]
        expected = answer.clamp(0, 1).numpy().transpose(1, 2, 0) * 255
    result = np.asarray(Image.open("photo_deblurred.png"))
    assert np.abs(result - expected).max() < 0.51  # rounded, and otherwise what the network says
    assert np.abs(result.astype(int) - photo).max() > 10


def test_it_is_trained_scored_and_used_like_the_built_in_ones(installed: Path) -> None:
    recipe = write_data(installed, "iniknet")
    text = recipe.read_text().replace('"iniknet"', '"tinynet"').replace("start_from", "# start_from")
    recipe.write_text(text.replace("every_steps = 3", "every_steps = 9"))
    answer = defocusctl("train", recipe, "--out", "run", "--device", "cpu")
    assert answer.code == ExitCode.OK, answer.err
    weights = "run/weights.safetensors"
    answer = defocusctl(
        "eval", "--dataset", "pairs", "--blurred", "pairs/source", "--sharp", "pairs/target",
        "--model", "tinynet", "--weights", weights, "--no-lpips", "--json", "-q",
    )  # fmt: skip
    assert answer.code == ExitCode.OK, answer.err
    method = next(one for one in json.loads(answer.out)["methods"] if one["kind"] == "model")
    assert (method["model"], method["parameters"]) == ("tinynet", 1027)
    result = Deblurrer.from_pretrained("tinynet", weights).deblur("pairs/source/0.png", coefficients=True)
    assert result.image.shape == (48, 48, 3)
    assert result.coefficients == {}
    assert result.blur_radius.shape == (48, 48)


def test_in_reduced_precision_the_photo_keeps_its_bits(installed: Path) -> None:
    weights = tinynet_weights()
    image = np.random.default_rng(2).random((64, 64, 3)).astype(np.float32)
    exact, reduced = (
        Deblurrer.from_pretrained("tinynet", weights, device="cpu", precision=precision, scale="1")
        .deblur(image)
        .image
        for precision in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - reduced).max() < 1 / 255


def test_weights_of_it_can_have_a_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = (
        '[default-order]\ntinynet = ["first"]\n[[weights]]\nmodel = "tinynet"\nname = "first"\n'
        'configuration = "from shapes"\nsources = ["https://example.org/tinynet.safetensors"]\n'
        f'digest = "sha256:{"0" * 64}"\nlicence = "MIT"\ntrained_on = "x"\nchannel_order = "RGB"\n'
    )
    Path("weights.toml").write_text(entry)
    monkeypatch.setenv("DEFOCUSCTL_WEIGHTS", "weights.toml")
    answer = defocusctl("weights", "list", "tinynet", "--json")
    assert [one["name"] for one in json.loads(answer.out)] == ["first"]
    assert [one.name for one in load_registry().default_order("tinynet")] == ["first"]


def test_it_is_told_of_where_networks_are_named(installed: Path) -> None:
    networks = json.loads(defocusctl("info", "--json").out)["networks"]
    assert networks == {
        "iniknet": "built in",
        "nrknet": "built in",
        "tinynet": "from defocusctl-tinynet 1.0",
    }
    photo = photo_file(installed / "photo.png", 32, 32)
    refused(defocusctl("deblur", photo, "-m", "tinynett"), "'tinynett'", "iniknet, nrknet, tinynet")
    answer = defocusctl("deblur", photo, "-m", "tinynet")
    assert answer.code == ExitCode.WEIGHTS
    assert "name some with --weights" in answer.err


def test_its_maps_are_the_blur_radius(installed: Path) -> None:
    photo = photo_file(installed / "photo.png", 32, 32)
    options = ("--maps-dir", "maps", "--maps-data", "maps.npz")
    answer = defocusctl("deblur", photo, "-m", "tinynet", "--weights", tinynet_weights(), *options)
    assert answer.code == ExitCode.OK, answer.err
    assert [path.name for path in (installed / "maps").iterdir()] == ["photo_deblurred_blur_radius.png"]
    with np.load("maps.npz") as arrays:
        assert set(arrays) == {"model", "blur_radius", "level_shares"}


def test_the_shell_completes_its_name_without_torch(installed: Path, site: Path) -> None:
    program = (
        "import sys\n"
        "try:\n    from defocusctl.__main__ import main\n    main()\n"
        "finally:\n    assert not {'torch', 'defocusctl_tinynet'} & set(sys.modules)\n"
    )
    for command in ("deblur photo.jpg", "eval"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)]),
                "_DEFOCUSCTL_COMPLETE": "complete_bash",
                "COMP_WORDS": f"defocusctl {command} --model ",
                "COMP_CWORD": str(len(command.split()) + 2),
            },
        )
        assert done.stdout.split() == ["iniknet", "nrknet", "tinynet"], done.stderr


FACTS = "default_overlap = 0\n    bytes_per_pixel = 99"
WHOLE = f"""
from defocusctl.models.prediction import Network, Prediction
class Net(Network):
    name = "broken"
    {FACTS}
    @classmethod
    def from_state(cls, state):
        return cls()
    def forward(self, x):
        return Prediction(x, {{}})
"""


def register(folder: Path, source: str, *, name: str = "broken", package: str = "broken-net") -> None:
    """Install a package that consists of one module, as pip would leave it."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    information = folder / f"{module}-2.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n")
    (information / "entry_points.txt").write_text(f"[defocusctl.models]\n{name} = {module}:Net\n")


def refused(answer: Answer, *told: str) -> None:
    """It ended with one line that says all that is ``told``."""
    assert answer.code == ExitCode.USAGE, answer.err
    (line,) = answer.err.splitlines()
    assert line.startswith("error: ")
    for words in told:
        assert words in line


@pytest.fixture
def packages(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages that Python sees."""
    folder = home / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for module in ("broken_net", "other_net"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return folder


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import a_module_that_is_missing", "No module named 'a_module_that_is_missing'"),
        ("raise SystemExit(3)", "SystemExit"),
        ("Net = 5", "not a subclass of Network"),
        ("class Net: pass", "not a subclass of Network"),
        ("", "AttributeError"),
        (WHOLE.replace(FACTS, "bytes_per_pixel = 99"), "does not define its default_overlap"),
        (WHOLE.replace("def forward", "def backward"), "has no forward"),
        (WHOLE.replace("def from_state", "def to_state"), "has no from_state"),
        (WHOLE.replace('"broken"', '"whole"'), "is not called 'broken'"),
    ],
)
def test_a_broken_package_is_one_line_and_no_more(packages: Path, home: Path, source: str, told: str) -> None:
    register(packages, source)
    photo = photo_file(home / "photo.png", 32, 32)
    weights = small_weights(home, "iniknet")
    with pytest.raises(ModelError, match=r"broken-net 2\.1"):
        Deblurrer.from_pretrained("broken", weights_of(home, "broken"))
    answer = defocusctl("deblur", photo, "-m", "broken", "--weights", weights_of(home, "broken"))
    refused(answer, told, "broken-net 2.1", "uninstall")
    answer = defocusctl("deblur", photo, "--weights", weights, "-q")
    assert (answer.code, answer.err) == (ExitCode.OK, "")
    networks = json.loads(defocusctl("info", "--json").out)["networks"]
    assert networks["iniknet"] == "built in"
    assert told in networks["broken"]


def weights_of(folder: Path, model: str) -> Path:
    """A file that says that it is of ``model``, without its tensors."""
    import safetensors.torch

    path = folder / f"{model}.safetensors"
    texts = {"model": model, "configuration": "{}", "channel_order": "RGB", "source": "", "licence": "",
             "trained_on": "", "digest": ""}  # fmt: skip
    safetensors.torch.save_file({"weight": torch.zeros(1)}, path, texts)
    return path


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("x", "not a Prediction"),
        ("Prediction(x[:, :, ::2], {})", "(1, 3, 32, 64)"),
        ("Prediction(x.double(), {})", "torch.float64"),
    ],
)
def test_an_answer_that_is_none_is_one_line(packages: Path, home: Path, answer: str, told: str) -> None:
    register(packages, CONFIGURED.replace("Prediction(x, {})", answer))
    photo = photo_file(home / "photo.png", 32, 32)
    refused(defocusctl("deblur", photo, "-m", "broken", "--weights", weights_of(home, "broken")), told)
    assert not (home / "photo_deblurred.png").exists()


CONFIGURED = f"""
import dataclasses, torch
{WHOLE}
    def __init__(self, config=None):
        super().__init__()
        self.config = Config()
        self.weight = torch.nn.Parameter(torch.zeros(1))
@dataclasses.dataclass(frozen=True)
class Config:
    pass
"""


FORWARD = "return Prediction(x, {})"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (FORWARD, "raise AttributeError('no such\\n layer')", "(AttributeError: no such)"),
        ("return cls()", "raise TypeError('no sizes')", "(TypeError: no sizes)"),
        ("self.config = Config()", "pass", "'config'"),
        ("bytes_per_pixel = 99", "bytes_per_pixel = 99; full_precision = ('unet',)", "unet"),
    ],
)
def test_what_a_network_raises_names_its_package(
    packages: Path, home: Path, right: str, wrong: str, told: str
) -> None:
    register(packages, CONFIGURED.replace(right, wrong))
    photo = photo_file(home / "photo.png", 32, 32)
    answer = defocusctl("deblur", photo, "-m", "broken", "--weights", weights_of(home, "broken"))
    refused(answer, told, "'broken' of broken-net 2.1", "uninstall")
    assert "bug of defocusctl" not in answer.err


def test_memory_that_runs_out_in_it_is_not_its_fault(packages: Path, home: Path) -> None:
    register(packages, CONFIGURED.replace(FORWARD, "raise MemoryError"))
    photo = photo_file(home / "photo.png", 32, 32)
    answer = defocusctl("deblur", photo, "-m", "broken", "--weights", weights_of(home, "broken"))
    assert answer.code == ExitCode.DEVICE, answer.err
    assert "not have enough memory" in answer.err


def test_one_that_cannot_be_exported_says_so(packages: Path, home: Path) -> None:
    register(packages, CONFIGURED.replace(FORWARD, "return Prediction(x * x.mean().item().numerator, {})"))
    answer = defocusctl(
        "export", "-m", "broken", "--weights", weights_of(home, "broken"),
        "--format", "torch-export", "-o", "broken.pt2",
    )  # fmt: skip
    refused(answer, "'broken' of broken-net 2.1", "uninstall")
    assert not Path("broken.pt2").exists()


def test_it_runs_in_another_backend_and_is_exported(installed: Path) -> None:
    pytest.importorskip("onnxscript")
    weights = tinynet_weights()
    image = np.random.default_rng(3).random((40, 50, 3)).astype(np.float32)
    ours, theirs = (
        Deblurrer.from_pretrained("tinynet", weights, backend=backend, precision="fp32").deblur(image).image
        for backend in ("torch", "onnxruntime")
    )
    assert 0 < np.abs(ours - theirs).max() < 1e-5
    options = ["-m", "tinynet", "--weights", weights, "--format", "torch-export", "-o", "tinynet.pt2"]
    refused(defocusctl("export", *options, "--precision", "fp16"), "tinynet does not declare", "--precision")
    assert defocusctl("export", *options, "--coefficients", "-q").code == ExitCode.OK


def test_a_network_that_cannot_be_trained_says_so(packages: Path, home: Path) -> None:
    register(packages, CONFIGURED)
    recipe = write_data(home, "iniknet")
    recipe.write_text(recipe.read_text().replace('"iniknet"', '"broken"'))
    answer = defocusctl("train", recipe, "--out", "run", "--device", "cpu")
    assert answer.code == ExitCode.DATA
    assert "broken cannot be trained here" in answer.err
    recipe.write_text(recipe.read_text().replace('"broken"', '"nobody"'))
    answer = defocusctl("train", recipe, "--out", "run", "--device", "cpu")
    assert answer.code == ExitCode.DATA
    assert "model: there is no network 'nobody'" in answer.err


@pytest.mark.parametrize("method", ["training_output(self, blurred, sharp)", "initialise(self)"])
def test_what_it_raises_while_it_is_trained_names_its_package(
    packages: Path, home: Path, method: str
) -> None:
    methods = (
        f"    def training_output(self, blurred, sharp): ...\n    def {method}: raise KeyError('mine')\n"
    )
    register(packages, CONFIGURED.replace("@dataclasses", f"{methods}@dataclasses"))
    recipe = write_data(home, "iniknet")
    recipe.write_text(
        recipe.read_text().replace('"iniknet"', '"broken"').replace("start_from", "# start_from")
    )
    answer = defocusctl("train", recipe, "--out", "run", "--device", "cpu")
    refused(answer, "KeyError: 'mine'", "'broken' of broken-net 2.1")


def test_a_built_in_name_stays_that_of_the_built_in_network(packages: Path, home: Path) -> None:
    register(packages, "raise RuntimeError('imported')", name="iniknet")
    photo = photo_file(home / "photo.png", 32, 32)
    answer = defocusctl("deblur", photo, "--weights", small_weights(home, "iniknet"), "-q")
    assert answer.code == ExitCode.OK
    (line,) = answer.err.splitlines()
    assert line.startswith("warning: the network 'iniknet' of broken-net 2.1 is not used")
    assert "broken-net 2.1 is not used" in json.loads(defocusctl("info", "--json").out)["networks"]["iniknet"]


def test_a_name_that_two_packages_take_is_nobodys(packages: Path, home: Path) -> None:
    register(packages, WHOLE)
    register(packages, WHOLE, package="other-net")
    photo = photo_file(home / "photo.png", 32, 32)
    refused(defocusctl("deblur", photo, "-m", "broken"), "broken-net 2.1 and other-net 2.1", "more than one")


def test_names_are_fit_for_files(packages: Path, home: Path) -> None:
    register(packages, WHOLE, name="../Broken")
    photo = photo_file(home / "photo.png", 32, 32)
    refused(defocusctl("deblur", photo, "-m", "../Broken"), "lower-case")
