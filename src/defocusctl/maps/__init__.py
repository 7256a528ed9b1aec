"""Pictures of a network's predictions: coefficient maps, blur extent, learned atoms, before and after."""
