"""Pictures of a network's predictions: coefficient maps, blur extent, learned atoms, before and after."""

from defocusctl.maps.compare import write_comparison
from defocusctl.maps.extent import blur_extent
from defocusctl.maps.maps import check_has_maps, map_paths, write_maps, write_maps_data
from defocusctl.maps.panels import picture_reduction

__all__ = [
    "blur_extent",
    "check_has_maps",
    "map_paths",
    "picture_reduction",
    "write_comparison",
    "write_maps",
    "write_maps_data",
]
