"""Projects: what is predicted, from which columns, and what is good enough."""
