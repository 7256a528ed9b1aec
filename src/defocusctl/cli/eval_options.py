"""What the options of ``defocusctl eval`` can name; held against the rooms below in the tests."""

from enum import StrEnum


class Dataset(StrEnum):
    """The data sets of ``data.layouts``."""

    DPDD = "dpdd"
    LFDOF = "lfdof"
    REALDOF = "realdof"
    RTF = "rtf"
    CUHK = "cuhk"
    PAIRS = "pairs"
    PHOTOS = "photos"


class Baseline(StrEnum):
    """The classical methods of ``evaluate.classical``."""

    UNSHARP = "unsharp"
    WIENER = "wiener"
    RICHARDSON_LUCY = "richardson-lucy"


class ProtocolName(StrEnum):
    """The protocols of ``metrics.PROTOCOLS``, and all of them in this order."""

    INIKNET = "iniknet"
    NRKNET = "nrknet"
    RESTORMER = "restormer"
    IFAN = "ifan"
    DRBNET = "drbnet"
    DPDNET = "dpdnet"
    GKMNET = "gkmnet"
    ALL = "all"

    @property
    def names(self) -> list[str]:
        """The protocols that are meant."""
        every = [name.value for name in ProtocolName if name is not ProtocolName.ALL]
        return every if self is ProtocolName.ALL else [self.value]
