"""Pictures of what a network predicted: coefficient maps, blur extent, learned atoms, before and after."""

from defocusctl.coefmaps.compare import write_comparison
from defocusctl.coefmaps.extent import blur_extent
from defocusctl.coefmaps.maps import map_paths, write_maps, write_maps_data

__all__ = ["blur_extent", "map_paths", "write_comparison", "write_maps", "write_maps_data"]
