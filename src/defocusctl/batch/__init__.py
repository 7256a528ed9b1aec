"""Folders of any size through ``pipeline``: what there is to do, doing it, and a record of what was done."""
