"""Several runs, transfers and folders of properties on one page."""
