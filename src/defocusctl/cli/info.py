"""``defocusctl info``: what is installed and what it can use."""

import platform
from typing import Annotated, Any

import typer

from defocusctl import __version__
from defocusctl.cli.console import plain, put_json, put_table
from defocusctl.errors import ModelError
from defocusctl.models.plugins import BUILT_IN, plugins
from defocusctl.system import paths

PACKAGES = (
    "torch", "numpy", "pillow", "opencv-python-headless", "tifffile", "imagecodecs", "safetensors",
    "huggingface-hub", "typer", "rich",
)  # fmt: skip
EXTRAS = {
    "train": ("tensorboard", "pytorch-optimizer"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino"),
    "ray": ("ray",),
    "s3": ("s3fs",),
    "serve": ("starlette", "uvicorn"),
}


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show versions, networks, devices with their memory, caches, weights present, and optional extras."""
    from defocusctl.cli.bars import doing

    with doing("looking for devices, networks and weights"):
        facts = _facts()
    if as_json:
        put_json(facts)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        lines = [f"{key}: {item}" for key, item in value.items()] if isinstance(value, dict) else [str(value)]
        table.add_row(plain(name, "bold"), Text("\n").join(map(plain, lines)))
    put_table(table)


def _facts() -> dict[str, Any]:
    from defocusctl.photo.header import EXTRAS as FORMATS
    from defocusctl.weights.cache import state_of
    from defocusctl.weights.registry import load_registry

    extras = {**EXTRAS, **{extra.name: (extra.module,) for extra in FORMATS.values()}}
    return {
        "defocusctl": __version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {
            extra: "installed"
            if all(_version(name) for name in names)
            else f"pip install 'defocusctl[{extra}]'"
            for extra, names in extras.items()
        },
        "networks": _networks(),
        "devices": _devices(),
        "cache": str(paths.cache_dir()),
        "configuration": str(paths.config_dir()),
        "weights": {entry.label: state_of(entry) for entry in load_registry().entries},
    }


def _networks() -> dict[str, str]:
    """Every network and its origin, or why it cannot be used."""
    from defocusctl.models.catalogue import network_class

    found = dict.fromkeys(BUILT_IN, "built in")
    for plugin in plugins():
        if plugin.name in BUILT_IN:
            found[plugin.name] += f"; the one of {plugin.package} is not used: {plugin.problem}"
            continue
        try:
            network_class(plugin.name)
            found[plugin.name] = f"from {plugin.package}"
        except ModelError as error:
            found[plugin.name] = f"error: {error}"
    return found


def _devices() -> dict[str, str]:
    """Every available device, with its memory and the precision that ``auto`` chooses."""
    import torch

    from defocusctl.system.devices import choose_precision, limit_threads
    from defocusctl.system.limits import total_memory

    limit_threads()
    threads = torch.get_num_threads()
    found = {"cpu": f"{threads} thread{'' if threads == 1 else 's'}, {total_memory() / 2**30:.1f} GiB"}
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / 2**30:.1f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU, shares the computer's memory"
    return {name: f"{text}, {choose_precision('auto', torch.device(name))}" for name, text in found.items()}


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
