"""The settings of a run; :mod:`fragmodel.config.run` joins the sections."""
