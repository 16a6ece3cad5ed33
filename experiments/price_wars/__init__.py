"""Price wars among learning sellers: the project's own study; see README.md."""
