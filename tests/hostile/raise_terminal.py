"""Raises what makes a terminal do things, and looks like other lines of the report."""

raise ValueError("\x1b]0;title\x07\x1b[2J\ndropin-cache: error: forged\r\u202e\x9b")
