"""Scoring networks and classical methods on data sets, and telling what came out."""
