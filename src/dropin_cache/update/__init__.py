"""The write path. It is entered by `orchestrator.update` and `clean.clean`.

The modules here decide; they open files and start processes through the rooms below them only:

- `discovery`: what there is on disk. Reads only.
- `importing`: what plugin modules define. Alone talks to the processes that import them.
- `sandbox`: what such a process may see and do. Makes command lines.
- `state`: what earlier runs found out.
- `settings`: the configuration.
- `files`: trusted opening, locks, caches. Alone creates, renames and removes files.
- `payload`: what runs inside a sandbox. Never imported by the other rooms.

This file imports nothing, so that entering one room does not load the others.
"""
