"""Scoring networks and classical methods on data sets, and what came out."""
