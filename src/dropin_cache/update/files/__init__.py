"""Files, by the rules of trust. Alone opens for writing, creates, renames, removes and locks."""
