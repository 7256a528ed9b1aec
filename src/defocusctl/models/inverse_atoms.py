"""INIKNet's dictionary: inverse kernels as implicit neural representations, and how they filter an image.

The dictionaries of the ablation study (section 5.2) are here as well.

Axes: B batch, C colour, N atoms, R kernel sizes (1 x 1, 3 x 3, ...), H rows, W columns.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate


def polar_features(size: int) -> Tensor:
    """The points where an atom of ``size`` x ``size`` taps is sampled: (size * size, 3) float32, row by row.

    Rows u and columns v are exactly i / (size // 2), so that the centre is exactly zero: with the rounding of
    ``torch.linspace``, its angle would flip. The features are the radius sqrt(u^2 + v^2) / sqrt(2) and (cos
    theta + 1) / 2, (sin theta + 1) / 2 of the angle theta = atan2(v, u) (INIKNet, section 4.2).
    """
    half = size // 2
    steps = torch.arange(-half, half + 1, dtype=torch.float32) / half
    u, v = torch.meshgrid(steps, steps, indexing="ij")
    radius = torch.sqrt(u**2 + v**2) / 2**0.5
    theta = torch.atan2(v, u)
    features = torch.stack([radius, (torch.cos(theta) + 1) / 2, (torch.sin(theta) + 1) / 2], dim=-1)
    return features.reshape(-1, 3)


def area_factor(size: int) -> float:
    """What keeps the response of a large atom in the range of a 3 x 3 one."""
    return 9 / size**2


class AtomMLP(nn.Module):
    """One atom as a function of the plane: three linear layers with sines of one learnable frequency.

    The paper draws the initial frequencies from [2, 16]; the release spaces them evenly over [2, 12].
    """

    def __init__(self, width: int, frequency: float) -> None:
        super().__init__()
        self.first = nn.Linear(3, width)
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, 1, bias=False)
        self.frequency = nn.Parameter(torch.tensor(frequency))

    def forward(self, points: Tensor) -> Tensor:
        """(P, 3) polar features -> (P,) kernel values."""
        z = torch.sin(self.frequency * self.first(points))
        z = torch.sin(self.frequency * self.hidden(z))
        value: Tensor = self.last(z)
        return value.squeeze(-1)


class InverseDictionary(nn.Module):
    """Base of the dictionaries {v_n^r} of inverse kernels, each with N atoms at every kernel size r."""

    width_key: ClassVar[str | None]
    """The tensor whose first axis is the width of the atoms' MLPs; None without MLPs."""
    sizes: tuple[int, ...]

    def forward(self) -> list[Tensor]:
        """The kernels, one (N, k, k) tensor for every size k, smallest first."""
        raise NotImplementedError


class InverseAtoms(InverseDictionary):
    """The multi-scale dictionary of the paper: each atom n sampled at each kernel size r (eq. (6))."""

    width_key = "mlps.0.first.weight"

    def __init__(self, count: int, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        frequencies = [2.0 + 10.0 * n / max(count - 1, 1) for n in range(count)]
        self.mlps = nn.ModuleList(AtomMLP(width, frequency) for frequency in frequencies)
        points = torch.cat([polar_features(size) for size in self.sizes])
        self.register_buffer("points", points, persistent=False)
        self.points: Tensor

    def forward(self) -> list[Tensor]:
        values = torch.stack([mlp(self.points) for mlp in self.mlps])  # (N, all points)
        per_size = values.split([size * size for size in self.sizes], dim=1)
        return [
            flat.reshape(-1, size, size) * area_factor(size)
            for flat, size in zip(per_size, self.sizes, strict=True)
        ]


class SeparateAtoms(InverseDictionary):
    """Ablation "Non-MS Dict": an implicit atom of its own for every kernel size."""

    width_key = "by_size.0.mlps.0.first.weight"

    def __init__(self, count: int, sizes: Sequence[int], width: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.by_size = nn.ModuleList(InverseAtoms(count, [size], width) for size in self.sizes)

    def forward(self) -> list[Tensor]:
        return [kernels for atoms in self.by_size for kernels in atoms()]


class PlainAtoms(InverseDictionary):
    """Ablation "Non-INR Dict": learnable 3 x 3 matrices, bilinearly upsampled to the larger sizes.

    The corners of all sizes coincide, as the coordinates of the implicit atoms do. The paper does not say how
    the matrices begin; here like the weights of a 3 x 3 convolution.
    """

    width_key = None

    def __init__(self, count: int, sizes: Sequence[int], width: int) -> None:
        del width  # of MLPs
        super().__init__()
        self.sizes = tuple(sizes)
        self.base = nn.Parameter(torch.empty(count, 1, 3, 3))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.base, -1 / 3, 1 / 3)

    def forward(self) -> list[Tensor]:
        return [
            interpolate(self.base, size=(size, size), mode="bilinear", align_corners=True).squeeze(1)
            * area_factor(size)
            for size in self.sizes
        ]


class InverseFiltering(nn.Module):
    """Filters an image with per-pixel inverse kernels (INIKNet, eq. (8) and (9)).

    k_ij = sum_r sum_n mu[r] omega[n] v_n^r, applied and mixed over colours by a 1 x 1 convolution. In the
    release, the paper's 1 x 1 atom (slot r = 0) returns zero and the image is added instead: its 30 input
    channels of ``sum`` are never used.
    """

    def __init__(self, atom_count: int, size_count: int) -> None:
        super().__init__()
        self.atom_count = atom_count
        self.sum = nn.Conv2d(size_count * 3 * atom_count, 3, kernel_size=1)

    def forward(self, image: Tensor, atoms: Sequence[Tensor], mu: Tensor, omega: Tensor) -> Tensor:
        """(B, 3, H, W) image, mu (B, R, H, W), omega (B, N, H, W) -> (B, 3, H, W), all float32.

        One kernel size at a time: 3 N channels exist at once, not 3 N R.
        """
        batch, colours, height, width = image.shape
        per_size = self.sum.weight.flatten(1).split(colours * self.atom_count, dim=1)  # R times (3, C * N)
        assert self.sum.bias is not None
        restored = image + self.sum.bias.view(1, 3, 1, 1)
        planes = image.reshape(batch * colours, 1, height, width)
        for r, kernels in enumerate(atoms, start=1):
            f = conv2d(planes, kernels.unsqueeze(1), padding=kernels.shape[-1] // 2)  # (B * C, N, H, W)
            f = f.reshape(batch, colours, self.atom_count, height, width) * omega.unsqueeze(1)
            mixed = conv2d(f.flatten(1, 2), per_size[r].reshape(3, -1, 1, 1))  # (B, 3, H, W)
            restored = restored + mu[:, r : r + 1] * mixed
        return restored
