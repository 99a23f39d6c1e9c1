"""The dashboard: pages about the data and the pipeline, in a browser, behind a login."""
