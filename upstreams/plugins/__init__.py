"""How code of a user's runs beside ours: what it imports, and what it changes of the process."""
