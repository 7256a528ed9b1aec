"""A page to look at a batch with: a gallery that needs nothing but its own folder."""

from defocusctl.reports.gallery.gallery import check_page, write_gallery

__all__ = ["check_page", "write_gallery"]
