"""The papers' ablations, each trained alike for a short time on rendered defocus, and what each gains.

    OMP_NUM_THREADS=1 python benchmarks/ablations.py --data DIR --out DIR [--steps 480] [--width 8]

Each recipe in recipes/ablations, and both networks without a change, is trained from the same seed for the
same number of steps on the same crops: a narrower network with the recipe's own parts, and the bundled
networks' loss (for NRKNet with the reblurring loss) but for what the recipe changes in it. The table shows
the mean gain over the input in dB at the end, and the minutes that the training took. Run it again to go on
where it ended.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from defocusctl.models.variants import VARIANTS, Variant

SETS = "rendered", "lytro", "stacks", "handheld"
RECIPE = """\
model = "{model}"
{variant}seed = 61
precision = "fp32"
trained_on = "rendered defocus"
licence = "MIT"
network = {{ width = {width} }}

[data]
sharp = ["sharp", "sharp-more"]
depth = ["depth"]
cache_gib = 1.0

[data.rendering]
max_radius = [1.5, 9.0]
levels = 12

[[stages]]
steps = {steps}
batch = 1
crop = 96

[optimiser]
algorithm = "muon"
learning_rate = 2e-3
schedule = "cosine"
warmup_steps = {warmup}

[loss]
{loss}

[validation]
every_steps = {steps}
sharp = ["sharp-val"]
pairs = {{ lytro = "real-val/lytro", stacks = "real-val/stacks", handheld = "real-val/handheld" }}
crop = 256
limit = 12
"""
LOSS = {
    "iniknet": 'pixel = "l1"\nfrequency_weight = 0.05',
    "nrknet": 'pixel = "l1"\nfrequency_weight = 0.05\nreblur_weight = 0.1',
}
"""In so few steps, the papers' squared error changes next to nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--width", type=int, default=8)
    arguments = parser.parse_args()
    whole = [Variant("iniknet", ""), Variant("nrknet", "")]
    rows = sorted([*whole, *VARIANTS], key=lambda variant: variant.model)
    print(f"| network | {' | '.join(SETS)} | minutes |\n|---|{'---:|' * (len(SETS) + 1)}", flush=True)
    for row in rows:
        gains, seconds = trained(row, arguments.data, arguments.out, arguments.steps, arguments.width)
        cells = [f"{gains[name]:+.2f}" for name in SETS]
        print(f"| {row.name or row.model} | {' | '.join(cells)} | {seconds / 60:.1f} |", flush=True)


def trained(
    variant: Variant, data: Path, out: Path, steps: int, width: int
) -> tuple[dict[str, float], float]:
    """The gains by set after training, which is done unless it was before, and its seconds."""
    name = f"{variant.model}-{variant.name or 'whole'}".replace("/", "")
    folder = out / name.replace(" ", "-").lower()
    recipe = folder.with_suffix(".toml")
    out.mkdir(parents=True, exist_ok=True)
    named = f'variant = "{variant.name}"\n' if variant.name else ""
    content = RECIPE.format(
        model=variant.model,
        variant=named,
        width=width,
        steps=steps,
        warmup=steps // 20,
        loss=LOSS[variant.model],
    )
    recipe.write_text(content, encoding="utf-8")
    if not (folder / "weights.safetensors").exists():
        command = [sys.executable, "-m", "defocusctl", "train", recipe, "--data", data, "--out", folder]
        subprocess.run([*map(str, command), "--resume"], check=True, stdout=subprocess.DEVNULL)
    gains, seconds = dict[str, float](), 0.0
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        seconds = entry.get("seconds", seconds)
        for each in SETS:
            if f"{each}/psnr" in entry:
                gains[each] = entry[f"{each}/psnr"] - entry[f"{each}/input_psnr"]
    return gains, seconds


if __name__ == "__main__":
    main()
