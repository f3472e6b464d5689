"""What there is on disk: directories, plugin modules, owners, interpreters. Reads only."""
