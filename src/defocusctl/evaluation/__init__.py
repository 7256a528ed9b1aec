"""Scores networks and classical methods on datasets, and keeps the results."""
