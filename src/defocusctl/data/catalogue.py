"""The evaluation datasets as data: whose they are, how large, in which folders, and how their files pair."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from defocusctl.data.found import Reading
from defocusctl.data.readers import alone, apertures, in_order, noise_levels, same_names, stops

RESEARCH = "research use, see the owners' page"


class Layout(NamedTuple):
    """A folder, relative to a place of the set, and the folders in it that the reader is given.

    ``{split}`` stands for the name of the split; a layout without it holds the test split.
    """

    folder: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        """The layout as a pattern of paths, such as 'test_c/{source,target}'."""
        parts = (
            self.parts[0] or "*.jpg, *.png, ..." if len(self.parts) == 1 else f"{{{','.join(self.parts)}}}"
        )
        return f"{self.folder}/{parts}" if self.folder else parts


@dataclass(frozen=True)
class Dataset:
    """What is known about a set. ``counts`` are the images of every split that it has, None if not published.

    ``places`` are the usual names of its folder. ``distinctive`` says that its layouts are its alone, so that
    folders like these are this set whatever they lie in. ``subsets`` says that fewer images are in use too.
    ``unseen`` is what the public descriptions leave open; without layouts, the set can only be named.
    """

    name: str
    title: str
    paper: str
    counts: Mapping[str, int | None]
    size: str
    offered: str
    places: tuple[str, ...]
    layouts: tuple[Layout, ...]
    read: Callable[..., Reading] = field(repr=False)
    licence: str = RESEARCH
    has_reference: bool = True
    distinctive: bool = True
    subsets: bool = False
    unseen: str = ""

    def layouts_of(self, split: str) -> list[Layout]:
        """The layouts that may hold a split, with its name filled in."""
        return [
            Layout(layout.folder.format(split=split), layout.parts)
            for layout in self.layouts
            if "{split}" in layout.folder or split == "test"
        ]


_SETS = (
    Dataset(
        name="dpdd",
        title="DPDD",
        paper="Abuolaim and Brown, ECCV 2020",
        counts={"train": 350, "val": 74, "test": 76},
        size="1680x1120, some portrait",
        offered="the README of github.com/Abdullah-Abuolaim/defocus-deblurring-dual-pixel; "
        "the READMEs of IFAN and NRKNet name mirrors",
        places=("DPDD", "dd_dp_dataset_png", "dd_dp_dataset_canon"),
        layouts=(
            Layout("{split}_c", ("source", "target")),
            Layout("{split}/DPDD", ("inputC", "target")),
            Layout("{split}", ("inputC", "target")),
            Layout("", ("inputC", "target")),
        ),
        read=in_order,
    ),
    Dataset(
        name="lfdof",
        title="LFDOF",
        paper="Ruan et al., IEEE TCI 2021",
        counts={"train": 11261, "test": 725},
        size="1008x688",
        offered="AIFNet's page",
        places=("LFDOF",),
        layouts=(Layout("{split}_data", ("input", "ground_truth")),),
        read=apertures,
    ),
    Dataset(
        name="realdof",
        title="RealDOF",
        paper="Lee et al., CVPR 2021",
        counts={"test": 50},
        size="about 2320x1536",
        offered="the README of IFAN, github.com/codeslake/IFAN",
        places=("RealDOF",),
        layouts=(Layout("", ("source", "target")),),
        read=same_names,
        distinctive=False,
    ),
    Dataset(
        name="rtf",
        title="RTF",
        paper="D'Andrès et al., IEEE TIP 2016",
        counts={"test": 22},
        size="360x360",
        offered="its author, by mail",
        places=("RTF", "RTFDataset"),
        layouts=(Layout("", ("image/0", "GT")),),
        read=noise_levels,
    ),
    Dataset(
        name="cuhk",
        title="CUHK",
        paper="Shi et al., CVPR 2014",
        counts={"test": 704},
        size="varies",
        offered="the authors' page; the zip that IFAN's README names",
        places=("CUHK",),
        layouts=(Layout("", ("",)),),
        read=alone,
        has_reference=False,
        distinctive=False,
        subsets=True,
    ),
    Dataset(
        name="realdefocus",
        title="RealDefocus",
        paper="Seizinger, Zhou, Timofte, arXiv 2607.21078",
        counts={"train": None, "val": None, "test": None},
        size="2000x1500",
        offered="huggingface.co/datasets/timseizinger/RealBokeh_3MP",
        places=("RealDefocus", "RealBokeh_3MP", "RealBokeh"),
        layouts=(Layout("{split}", ("gt", "in")),),
        read=stops,
        distinctive=False,
        unseen="23,000 photos of 4,400 scenes in all; the numbers of each split",
    ),
    Dataset(
        name="sdd",
        title="SDD",
        paper="Li et al., AAAI 2023",
        counts={"test": None},
        size="varies",
        offered="the authors of JDRL, github.com/liyucs/JDRL",
        places=("SDD",),
        layouts=(Layout("{split}", ("blur", "gt")),),
        read=same_names,
        distinctive=False,
        unseen="the number and size of its photos; the folders are those of JDRL's training script",
    ),
    Dataset(
        name="idfd",
        title="iDFD",
        paper="Nazir et al., SCIA 2023",
        counts={"test": None},
        size="?",
        offered="its authors",
        places=("iDFD",),
        layouts=(),
        read=same_names,
        unseen="everything about its files; score them with 'pairs'",
    ),
)

SETS: Mapping[str, Dataset] = MappingProxyType({entry.name: entry for entry in _SETS})
