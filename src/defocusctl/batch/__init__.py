"""Folders of any size through ``deblurrer``: plan the jobs, run them, and record the results."""
