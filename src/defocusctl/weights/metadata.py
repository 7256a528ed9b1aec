"""What a weights file says about its network, beside the tensors."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from defocusctl.errors import WeightsError
from defocusctl.models.level_shares import LevelShares
from defocusctl.models.prediction import Model
from defocusctl.models.variants import variant_of


@dataclass(frozen=True)
class WeightsMetadata:
    """What is stored along with a network's tensors.

    ``configuration`` holds the fields of the network's configuration, and ``digest`` is the checksum of the
    published file that the weights were converted from, empty for our own weights. ``level_shares`` is what
    each level of a photo is worth, None if it was not measured. ``variant`` is the paper's name of the
    ablation that the weights are of, empty for the network as published.
    """

    model: str
    configuration: Mapping[str, Any]
    source: str
    licence: str
    trained_on: str
    digest: str = ""
    level_shares: LevelShares | None = None
    variant: str = ""

    @classmethod
    def of_network(
        cls,
        network: Model,
        *,
        source: str,
        licence: str,
        trained_on: str,
        digest: str = "",
        variant: str = "",
    ) -> Self:
        """The metadata of ``network``, with its own name and configuration.

        ``variant`` need only be given where the configuration does not show it.
        """
        configuration = asdict(network.config)
        variant = variant or variant_of(network.name, configuration)
        return cls(network.name, configuration, source, licence, trained_on, digest, variant=variant)

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], path: Path) -> Self:
        """The metadata that ``texts`` of the file ``path`` stored.

        Raises:
            WeightsError: if they are missing or invalid.
        """
        try:
            values = {key: texts[key] for key in REQUIRED}
            configuration = json.loads(values.pop("configuration"))
            shares = LevelShares.from_json(texts["level_shares"]) if "level_shares" in texts else None
        except (KeyError, ValueError, TypeError) as error:
            remedy = "give a file saved by defocusctl, or an authors' .pth"
            raise WeightsError(f"{path} lacks the metadata that say what its weights are", remedy) from error
        if texts.get("channel_order") not in ("RGB", "BGR") or not isinstance(configuration, dict):
            raise WeightsError(f"the metadata of {path} are invalid", "get the file again")
        variant = texts.get("variant", "")
        return cls(configuration=configuration, level_shares=shares, variant=variant, **values)

    def texts(self) -> dict[str, str]:
        """What a safetensors file of weights for RGB images stores."""
        configuration = json.dumps(dict(self.configuration), sort_keys=True)
        texts = {**asdict(self), "configuration": configuration, "channel_order": "RGB"}
        del texts["level_shares"]
        if self.level_shares is not None:
            texts["level_shares"] = json.dumps(asdict(self.level_shares))
        return texts


REQUIRED = [field.name for field in fields(WeightsMetadata) if field.name not in ("level_shares", "variant")]
"""What every file says; the rest is newer."""
