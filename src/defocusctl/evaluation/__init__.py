"""Scores networks and classical methods on data sets, and keeps the results."""
