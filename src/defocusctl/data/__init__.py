"""Folders of photos, pairs, and rendered defocus: what networks are trained and measured on."""
