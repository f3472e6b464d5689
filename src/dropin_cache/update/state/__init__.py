"""What earlier runs found out. A cache: without it everything is found out again."""
