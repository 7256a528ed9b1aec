"""The networks by their names on the command line."""

from defocusctl.models.iniknet import INIKNet
from defocusctl.models.nrknet import NRKNet
from defocusctl.models.prediction import Network

NETWORKS: dict[str, type[Network]] = {network.name: network for network in (INIKNet, NRKNet)}
