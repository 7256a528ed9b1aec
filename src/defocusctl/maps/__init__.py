"""Pictures of a network's predictions: blur radius, coefficient maps, learned atoms, before and after."""
