"""What all tests share: helper modules lie beside this file and are imported by name.

Import helpers from them, never from ``conftest``: other folders have a module of that name too.
"""
