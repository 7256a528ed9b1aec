"""defocusctl for ComfyUI: a node of its own, and its networks for ComfyUI's upscale-model nodes."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

try:
    from defocusctl.export.spandrel import install
except ImportError:  # spandrel comes with ComfyUI; without it, our own node still works
    pass
else:
    install()

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
