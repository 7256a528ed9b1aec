"""What all HTML pages share: their frame, their looks, and the divider between two pictures."""

from defocusctl.pages.page import write_page

__all__ = ["write_page"]
