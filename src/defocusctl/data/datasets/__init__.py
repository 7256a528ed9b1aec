"""The evaluation datasets: what they are, where their files lie, and reading them from any usual layout."""

from defocusctl.data.datasets.catalogue import SETS, Dataset
from defocusctl.data.datasets.found import EvaluationImage, FoundData
from defocusctl.data.datasets.search import data_root, find_data, pairs_data, photos_data, present_data

__all__ = [
    "SETS",
    "Dataset",
    "EvaluationImage",
    "FoundData",
    "data_root",
    "find_data",
    "pairs_data",
    "photos_data",
    "present_data",
]
