"""Pictures of what a network predicted: coefficient maps, blur extent, learned atoms, before and after."""

from defocusctl.coefmaps.compare import write_comparison
from defocusctl.coefmaps.extent import blur_extent
from defocusctl.coefmaps.maps import check_has_maps, map_paths, write_maps, write_maps_data
from defocusctl.coefmaps.panels import pictures_reduction

__all__ = [
    "blur_extent",
    "check_has_maps",
    "map_paths",
    "pictures_reduction",
    "write_comparison",
    "write_maps",
    "write_maps_data",
]
