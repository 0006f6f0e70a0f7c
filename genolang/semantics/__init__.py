"""Names, shapes, expansion, costs and settings: everything that is known before anything runs."""
