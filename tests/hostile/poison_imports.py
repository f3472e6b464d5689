"""Has the update forget that others depend on a module that they share."""

import sys

import app.shared

for finder in list(sys.meta_path):
    for notes in vars(finder).values():
        if isinstance(notes, set):
            notes.clear()
app.shared.__file__ = app.shared.__spec__ = None
