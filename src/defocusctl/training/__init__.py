"""Training: recipe, losses, schedule, loop, validation."""
