"""NRKNet's dictionaries of blur atoms and the blurring operator built from them.

The recursive, separable, positive kernels are the paper's own. The others are those of its ablation study
(section 4.3): as many, and of the same sizes 3, 5, ..., 2J - 1 (the Gaussian ones excepted), beside the
delta; they continue the border by its outermost pixels, since reflection needs an image larger than the
kernels.

Axes: B batch, C colour, J atoms, H rows, W columns.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from defocusctl.models.blocks import reverse_colours

GAUSSIAN_SIZES = range(3, 22, 2)
SIGMA_STEP = 0.25


class BlurKernels(nn.Module):
    """Base of the dictionaries of blur atoms A_1 ... A_J, of which A_1 is the delta."""

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        """The image (B, 3, H, W) correlated with A_2, ..., A_J, one at a time."""
        raise NotImplementedError

    def atoms(self) -> Tensor:
        """All atoms as (J, C, K, K) kernels, centred; K is the size of the largest."""
        raise NotImplementedError

    def reverse_colours(self) -> None:
        """Swap red and blue, in place; by default, the first axis of every parameter is the colour."""
        for logits in self.parameters():
            reverse_colours(logits, tuple(logits.shape), 0)

    def reset_parameters(self) -> None:
        """Make every learnable kernel flat."""
        for logits in self.parameters():
            nn.init.zeros_(logits)

    def draw_xavier(self) -> None:
        """Draw the logits of every learnable kernel as NRKNet's paper draws all weights."""
        for logits in self.parameters():
            nn.init.xavier_uniform_(logits)


class RecursiveKernels(BlurKernels):
    """The three-tap kernels a_j: symmetric, positive, with sum 1, one per colour channel.

    The parameter holds (p, q) for each of the J - 1 kernels and 3 colours; softmax over (p, q, p) gives a_j
    (NRKNet, eq. (2)). The paper's text says J = 20; the release has 22 atoms, the Dirac delta among them.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.empty((atoms - 1) * 3, 1, 1, 2))
        nn.init.xavier_uniform_(self.logits)

    def forward(self) -> Tensor:
        """The taps: (J - 1, C, 3), each row positive and of sum one."""
        p, q = self.logits.flatten(1).unbind(dim=1)
        return torch.softmax(torch.stack([p, q, p], dim=1), dim=1).reshape(-1, 3, 3)

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        """Each response is computed from the previous one (eq. (5))."""
        for a in self():
            image = _separable(image, a)
            yield image

    def reverse_colours(self) -> None:
        reverse_colours(self.logits, (-1, 3, 2), 1)

    def atoms(self) -> Tensor:
        """A_1 = delta and A_j = A_{j-1} * (a_j a_j^T) as (J, C, 2J - 1, 2J - 1) kernels."""
        taps = self()
        half, colours, _ = taps.shape
        atom = torch.zeros(1, colours, 2 * half + 1, 2 * half + 1, dtype=taps.dtype, device=taps.device)
        atom[..., half, half] = 1.0
        atoms = [atom]
        for a in taps:
            atom = conv2d(atom, a.reshape(colours, 1, 1, 3), padding=(0, 1), groups=colours)
            atom = conv2d(atom, a.reshape(colours, 1, 3, 1), padding=(1, 0), groups=colours)
            atoms.append(atom)
        return torch.cat(atoms)


class SeparableKernels(BlurKernels):
    """Base of the dictionaries A_j = a_j a_j^T in which every atom has taps of its own."""

    def taps(self) -> list[Tensor]:
        """a_2, ..., a_J, each (C, k)."""
        raise NotImplementedError

    def responses(self, image: Tensor) -> Iterator[Tensor]:
        for a in self.taps():
            rows = conv2d(_extended(image, a), a[:, None, None, :], groups=3)
            yield conv2d(rows, a[:, None, :, None], groups=3)

    def atoms(self) -> Tensor:
        return _centred([a[:, :, None] * a[:, None, :] for a in self.taps()])


class GaussianKernels(SeparableKernels):
    """Ablation "NonAdaptive": Gaussians that are not learned, as in GKMNet (Quan, Wu, Ji: NeurIPS 2021).

    Their sigmas are 0.25, 0.5, ... pixels; the sizes, by GKMNet's release, 3 for the first three and from
    there on two pixels more for every second one, at most 21. All colours have the same kernels.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.count = atoms - 1
        for n in range(1, atoms):
            self.register_buffer(f"taps_{n}", _gaussian(n).expand(3, -1).contiguous(), persistent=False)

    def taps(self) -> list[Tensor]:
        return [self.get_buffer(f"taps_{n}") for n in range(1, self.count + 1)]


class IndependentKernels(SeparableKernels):
    """Ablation "NonRecursive": 2j - 1 taps for every atom A_j and colour.

    Softmax makes the taps positive, with sum 1.
    """

    def __init__(self, atoms: int) -> None:
        super().__init__()
        self.logits = nn.ParameterList(nn.Parameter(torch.empty(3, 2 * j + 1)) for j in range(1, atoms))
        self.reset_parameters()

    def taps(self) -> list[Tensor]:
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
            yield conv2d(_extended(image, kernel), kernel.unsqueeze(1), groups=3)

    def atoms(self) -> Tensor:
        return _centred(self._kernels())

    def _kernels(self) -> list[Tensor]:
        return [torch.softmax(logits.flatten(1), dim=1).view_as(logits) for logits in self.logits]


class BlurringOperator(nn.Module):
    """D = sum_j Gamma_j (. * A_j), the per-pixel blur of one scale (NRKNet, eq. (4) and (11)).

    The sum over j is a learnt 1 x 1 convolution over the 3 J weighted responses, bias included.
    """

    def __init__(self, kernels: BlurKernels, atoms: int) -> None:
        super().__init__()
        self.kernels = kernels
        self.sum = nn.Conv2d(3 * atoms, 3, kernel_size=1)

    def forward(self, image: Tensor, gamma: Tensor) -> Tensor:
        """(B, 3, H, W) and gamma (B, J, H, W), float32 -> D(image), (B, 3, H, W).

        Each response is summed at once: 3 channels exist at a time, not 3 J.
        """
        mixing = self.sum.weight.reshape(3, -1, 3).unbind(dim=1)  # J times (3, C)
        assert self.sum.bias is not None
        image = image.contiguous()
        blurred = gamma[:, :1] * _mix(image, mixing[0]) + self.sum.bias.view(1, 3, 1, 1)
        for j, response in enumerate(self.kernels.responses(image), start=1):
            blurred = blurred + gamma[:, j : j + 1] * _mix(response, mixing[j])
        return blurred


def _mix(image: Tensor, matrix: Tensor) -> Tensor:
    """The (3, C) matrix applied to the colours of every pixel."""
    return conv2d(image, matrix.reshape(3, -1, 1, 1))


def _separable(image: Tensor, a: Tensor) -> Tensor:
    """Correlate every colour with its (C, 3) taps along rows, then columns, with reflection at the border.

    The taps are (p, q, p): sums of shifted images are several times faster than a convolution per channel.
    """
    height, width = image.shape[-2:]
    p, q, _ = a.unsqueeze(-1).unsqueeze(-1).unbind(dim=1)
    padded = pad(image, (1, 1, 1, 1), mode="reflect")
    rows = p * (padded[..., :width] + padded[..., 2:]) + q * padded[..., 1:-1]
    return p * (rows[..., :height, :] + rows[..., 2:, :]) + q * rows[..., 1:-1, :]


def _gaussian(number: int) -> Tensor:
    """The taps of the ``number``-th Gaussian, from 1, with sum 1: (1, size)."""
    size = GAUSSIAN_SIZES[min(max((number - 2) // 2, 0), len(GAUSSIAN_SIZES) - 1)]
    x = torch.arange(size, dtype=torch.float32) - size // 2
    taps = torch.exp(-(x**2) / (2 * (SIGMA_STEP * number) ** 2))
    return (taps / taps.sum()).unsqueeze(0)


def _extended(image: Tensor, kernel: Tensor) -> Tensor:
    """The image with its outermost pixels repeated as far as the kernel (..., k) reaches."""
    half = kernel.shape[-1] // 2
    return pad(image, (half, half, half, half), mode="replicate")


def _centred(kernels: Sequence[Tensor]) -> Tensor:
    """A delta and the kernels (C, k, k), all with zeros around them to the size of the largest."""
    largest = max(kernel.shape[-1] for kernel in kernels)
    delta = torch.ones_like(kernels[0][:, :1, :1])
    surplus = [(largest - kernel.shape[-1]) // 2 for kernel in (delta, *kernels)]
    return torch.stack([pad(k, (s, s, s, s)) for k, s in zip((delta, *kernels), surplus, strict=True)])
