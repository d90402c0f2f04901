"""The SQLite store from inside: its statements, its file, its medium."""
