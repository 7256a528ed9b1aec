"""A network as a ``torch.export`` program with dynamic batch, height and width, and its file."""

import json
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from defocusctl.export.description import INPUT
from defocusctl.export.graph import LARGEST_BATCH, LARGEST_SIDE, SMALLEST, PhotoGraph
from defocusctl.models.plugin_faults import network_errors

DESCRIPTION = "description.json"
"""The name of the metadata file inside the archive."""

EXAMPLE = (2, 3, 50, 67)
"""Shape of the example for the exporter: no two lengths equal, none a multiple of 16."""


def export_program(graph: PhotoGraph) -> ExportedProgram:
    """Trace ``graph`` once, for all sizes.

    Raises:
        ModelError: if a package's network cannot be traced.
    """
    sizes = {
        0: Dim("batch", min=1, max=LARGEST_BATCH),
        2: Dim("height", min=SMALLEST, max=LARGEST_SIDE),
        3: Dim("width", min=SMALLEST, max=LARGEST_SIDE),
    }
    with network_errors(graph.network.name), torch.no_grad():
        return torch.export.export(
            graph,
            (torch.zeros(EXAMPLE),),
            dynamic_shapes={INPUT: sizes},
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def write_program(graph: PhotoGraph, texts: dict[str, str], path: Path) -> None:
    """Save the program, for ``torch.export.load``, with the description as an extra file."""
    torch.export.save(export_program(graph), path, extra_files={DESCRIPTION: json.dumps(texts)})


def read_program(path: Path) -> nn.Module:
    """Load a program, ready to be called."""
    return torch.export.load(path).module()
