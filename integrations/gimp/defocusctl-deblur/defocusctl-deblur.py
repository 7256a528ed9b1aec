#!/usr/bin/env python3
"""GIMP 3: Filters > Enhance > Deblur (defocus). What does without GIMP is in deblurring.py."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
from deblurring import COMMAND, MODELS, NO_LIMIT, SCALES, DeblurError, Settings, deblur  # noqa: E402
from gi.repository import Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402

NAME = "defocusctl-deblur"


class DefocusctlDeblur(Gimp.PlugIn):
    """Deblurs the selected layer into a new layer above it."""

    def do_query_procedures(self) -> list[str]:
        return [NAME]

    def do_set_i18n(self, name: str) -> bool:
        del name
        return False

    def do_create_procedure(self, name: str) -> Any:
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("_Deblur (defocus)...")
        procedure.add_menu_path("<Image>/Filters/Enhance/")
        procedure.set_documentation(
            "Remove out-of-focus blur",
            "Writes the selected layer to a file, runs defocusctl on it, and puts the result on a new layer "
            "above it. With a selection, the new layer gets a mask of it.",
            name,
        )
        procedure.set_attribution("The authors of defocusctl", "MIT licence", "2026")
        add_arguments(procedure)
        return procedure


def add_arguments(procedure: Any) -> None:
    both = GObject.ParamFlags.READWRITE
    procedure.add_choice_argument("model", "_Network", "The network", choice(MODELS), MODELS[0], both)
    procedure.add_double_argument(
        "strength", "_Strength", "How much of the change is applied", 0.0, 1.0, 1.0, both
    )
    procedure.add_choice_argument(
        "scale", "S_cale", "The size at which the network sees the layer", choice(SCALES), SCALES[0], both
    )
    procedure.add_double_argument(
        "max-blur",
        "_Largest blur",
        "Leave alone what is blurred by a larger radius in pixels; 0: no limit",
        0.0,
        100.0,
        NO_LIMIT,
        both,
    )
    procedure.add_string_argument(
        "weights", "_Weights", "As for --weights; empty: the first there are", "bundled", both
    )
    procedure.add_string_argument("command", "Pr_ogram", "The path of defocusctl", COMMAND, both)


def choice(names: tuple[str, ...]) -> Any:
    made = Gimp.Choice.new()
    for number, name in enumerate(names):
        made.add(name, number, name, "")
    return made


def run(procedure: Any, run_mode: Any, image: Any, drawables: list[Any], config: Any, data: Any) -> Any:
    del data
    if len(drawables) != 1 or not isinstance(drawables[0], Gimp.Layer):
        return failed(procedure, Gimp.PDBStatusType.CALLING_ERROR, "select one layer")
    if run_mode == Gimp.RunMode.INTERACTIVE:
        GimpUi.init(NAME)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Deblur (defocus)")
        dialog.fill(None)
        agreed = dialog.run()
        dialog.destroy()
        if not agreed:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    names = ("command", "model", "weights", "strength", "scale", "max-blur")
    settings = Settings(**{name.replace("-", "_"): config.get_property(name) for name in names})
    try:
        with tempfile.TemporaryDirectory(prefix="defocusctl-gimp-") as folder:
            source, target = Path(folder, "layer.tif"), Path(folder, "deblurred.tif")
            write_layer(image, drawables[0], source)
            Gimp.progress_init("Deblurring")
            for warning in deblur(settings, source, target, Gimp.progress_pulse):
                Gimp.message(warning)
            read_layer(image, drawables[0], target)
    except DeblurError as error:
        return failed(procedure, Gimp.PDBStatusType.EXECUTION_ERROR, str(error))
    Gimp.displays_flush()
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())


def write_layer(image: Any, layer: Any, path: Path) -> None:
    """Write a layer alone, in floating point, which holds the values of every kind of image."""
    size = layer.get_width(), layer.get_height()
    alone = Gimp.Image.new_with_precision(*size, image.get_base_type(), image.get_precision())
    try:
        profile = image.get_color_profile()
        if profile is not None:
            alone.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        if copy.get_mask() is not None:
            copy.remove_mask(Gimp.MaskApplyMode.DISCARD)
        copy.set_offsets(0, 0)
        copy.set_opacity(100.0)
        copy.set_mode(Gimp.LayerMode.NORMAL)
        copy.set_visible(True)
        if alone.get_precision() != Gimp.Precision.FLOAT_NON_LINEAR:
            alone.convert_precision(Gimp.Precision.FLOAT_NON_LINEAR)
        file = Gio.File.new_for_path(str(path))
        if not Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, file, None):
            raise DeblurError("GIMP could not write the layer to a temporary file")
    finally:
        alone.delete()


def read_layer(image: Any, below: Any, path: Path) -> None:
    """Add the file as a layer above ``below``, as one step to undo."""
    layer = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(str(path)))
    if layer is None:
        raise DeblurError("GIMP could not read the result")
    image.undo_group_start()
    layer.set_name(f"{below.get_name()} (deblurred)")
    image.insert_layer(layer, below.get_parent(), image.get_item_position(below))
    _, left, top = below.get_offsets()
    layer.set_offsets(left, top)
    if not Gimp.Selection.is_empty(image):
        layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
    image.undo_group_end()


def failed(procedure: Any, status: Any, words: str) -> Any:
    error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), words, 0)
    return procedure.new_return_values(status, error)


Gimp.main(DefocusctlDeblur.__gtype__, sys.argv)
