"""Files, precision, progress and the environment: what every part uses, and what knows nothing of SSL."""
