"""The documentation as a site: ``make docs``. ``__main__`` writes the reference, ``hooks`` is MkDocs'."""
