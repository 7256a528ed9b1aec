"""The papers' ablations, each trained alike for a short time on rendered defocus, and what each gains.

    OMP_NUM_THREADS=1 python benchmarks/ablations.py --data DIR --out DIR [--steps 240] [--width 8]

Each recipe in recipes/ablations, and both networks without a change, is trained from the same seed for the
same number of steps on the same crops: a narrower network with the recipe's own parts, and the bundled
networks' loss (for NRKNet with the reblurring loss) but for what the recipe changes in it. All crops are out
of focus by 1.5 to 3.5 pixels, without noise, so that something is learned in a few minutes. The table shows
the mean and the worst gain over the input in dB on rendered photos kept apart, what SSIM gains, and the
minutes that the training took. Run it again to go on where it ended.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from defocusctl.models.variants import VARIANTS, Variant

RECIPE = """\
model = "{model}"
{variant}seed = 61
precision = "fp32"
trained_on = "rendered defocus"
licence = "MIT"
network = {{ width = {width} }}

[data]
sharp = ["sharp", "sharp-more"]
cache_gib = 1.0

[data.rendering]
max_radius = [1.5, 3.5]
sharp = 0.0
off_focus = 1.0
depth_of_field = 0.0
scene_softness = 0.0
levels = 8
geometry = {{ depth = 0.0, plane = 1.0, layers = 0.0, smooth = 0.0 }}
camera = {{ highlights = 0.0, noise = 0.0, jpeg = 0.0 }}

[[stages]]
steps = {steps}
batch = 1
crop = 96

[optimiser]
algorithm = "muon"
learning_rate = 2e-3
schedule = "cosine"
warmup_steps = {warmup}
clip_norm = 0.5
ema_decay = 0.95

[loss]
{loss}

[validation]
every_steps = {steps}
sharp = ["sharp-val"]
crop = 256
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
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--width", type=int, default=8)
    arguments = parser.parse_args()
    whole = [Variant("iniknet", ""), Variant("nrknet", "")]
    rows = sorted([*whole, *VARIANTS], key=lambda variant: variant.model)
    print("| network | gain | worst | SSIM | minutes |\n|---|---:|---:|---:|---:|", flush=True)
    for row in rows:
        scores, seconds = trained(row, arguments.data, arguments.out, arguments.steps, arguments.width)
        gain = scores["rendered/psnr"] - scores["rendered/input_psnr"]
        ssim = scores["rendered/ssim"] - scores["rendered/input_ssim"]
        cells = [f"{gain:+.2f}", f"{scores['rendered/worst_gain']:+.2f}", f"{ssim:+.3f}"]
        print(f"| {row.name or row.model} | {' | '.join(cells)} | {seconds / 60:.1f} |", flush=True)


def trained(
    variant: Variant, data: Path, out: Path, steps: int, width: int
) -> tuple[dict[str, float], float]:
    """The scores after training, which is done unless it was before, and its seconds."""
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
    scores, seconds = dict[str, float](), 0.0
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        entry: dict[str, Any] = json.loads(line)
        seconds = entry.get("seconds", seconds)
        if "rendered/psnr" in entry:
            scores = entry
    return scores, seconds


if __name__ == "__main__":
    main()
