"""The blur atoms of NRKNet's ablation study (section 4.3): what the recursive ones are better than.

As many as the recursive ones and of the same sizes 3, 5, ..., 2J - 1 (the Gaussian ones excepted), beside the
delta. The border is continued by its outermost pixels: reflection needs an image larger than the kernels.

Axes: B batch, C colour, J atoms, H rows, W columns.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from defocusctl.models.blocks import reverse_colours
from defocusctl.models.recursive_atoms import BlurKernels

GAUSSIAN_SIZES = range(3, 22, 2)
SIGMA_STEP = 0.25


class GaussianKernels(BlurKernels):
    """Ablation "NonAdaptive": Gaussians that are not learned, as in GKMNet (Quan, Wu, Ji: NeurIPS 2021).

    Their sigmas are 0.25, 0.5, ... pixels; the sizes, by GKMNet's release, 3 for the first three and from
    there on two pixels more for every second one, at most 21.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.count = atoms - 1
        for n in range(1, atoms):
            self.register_buffer(f"taps_{n}", _gaussian(n).expand(3, -1).contiguous(), persistent=False)

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        return (_blurred(image, taps) for taps in self._taps())

    def atoms(self) -> Tensor:
        return _centred([taps[:, :, None] * taps[:, None, :] for taps in self._taps()])

    def reverse_colours(self) -> None:
        """All colours have the same kernels."""

    def _taps(self) -> list[Tensor]:
        return [self.get_buffer(f"taps_{n}") for n in range(1, self.count + 1)]


class IndependentKernels(BlurKernels):
    """Ablation "NonRecursive": A_j = a_j a_j^T with 2j - 1 taps of its own for every atom and colour.

    Softmax makes the taps positive, with sum 1.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.logits = nn.ParameterList(nn.Parameter(torch.empty(3, 2 * j + 1)) for j in range(1, atoms))
        self.reset_parameters()

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        return (_blurred(image, taps) for taps in self._taps())

    def atoms(self) -> Tensor:
        return _centred([taps[:, :, None] * taps[:, None, :] for taps in self._taps()])

    def reverse_colours(self) -> None:
        for logits in self.logits:
            reverse_colours(logits, tuple(logits.shape), 0)

    def _taps(self) -> list[Tensor]:
        return [torch.softmax(logits, dim=1) for logits in self.logits]


class FreeKernels(BlurKernels):
    """Ablation "NonSeparable": every A_j has (2j - 1) x (2j - 1) positive taps of its own, for every colour.

    Softmax makes them positive, with sum 1.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        sizes = [2 * j + 1 for j in range(1, atoms)]
        self.logits = nn.ParameterList(nn.Parameter(torch.empty(3, size, size)) for size in sizes)
        self.reset_parameters()

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        for kernel in self._kernels():
            half = kernel.shape[-1] // 2
            extended = pad(image, (half, half, half, half), mode="replicate")
            yield conv2d(extended, kernel.unsqueeze(1), groups=3)

    def atoms(self) -> Tensor:
        return _centred(self._kernels())

    def reverse_colours(self) -> None:
        for logits in self.logits:
            reverse_colours(logits, tuple(logits.shape), 0)

    def _kernels(self) -> list[Tensor]:
        return [torch.softmax(logits.flatten(1), dim=1).view_as(logits) for logits in self.logits]


def _gaussian(number: int) -> Tensor:
    """The taps of the ``number``-th Gaussian, from 1, with sum 1: (1, size)."""
    size = GAUSSIAN_SIZES[min(max((number - 2) // 2, 0), len(GAUSSIAN_SIZES) - 1)]
    x = torch.arange(size, dtype=torch.float32) - size // 2
    taps = torch.exp(-(x**2) / (2 * (SIGMA_STEP * number) ** 2))
    return (taps / taps.sum()).unsqueeze(0)


def _blurred(image: Tensor, taps: Tensor) -> Tensor:
    """Correlate every colour with its (C, k) taps along the rows, then along the columns."""
    half = taps.shape[-1] // 2
    extended = pad(image, (half, half, half, half), mode="replicate")
    return conv2d(conv2d(extended, taps[:, None, None, :], groups=3), taps[:, None, :, None], groups=3)


def _centred(kernels: Sequence[Tensor]) -> Tensor:
    """A delta and the kernels (C, k, k), all with zeros around them to the size of the largest."""
    largest = max(kernel.shape[-1] for kernel in kernels)
    delta = torch.ones_like(kernels[0][:, :1, :1])
    surplus = [(largest - kernel.shape[-1]) // 2 for kernel in (delta, *kernels)]
    return torch.stack([pad(k, (s, s, s, s)) for k, s in zip((delta, *kernels), surplus, strict=True)])
