"""Files of ``integrations`` as modules, loaded by their paths like by the programs they are for."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "integrations"


def loaded(file: str, name: str) -> ModuleType:
    """The module in ``file`` of the folder, which other modules then find under ``name``."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
