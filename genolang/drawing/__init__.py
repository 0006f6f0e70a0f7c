"""Pictures of cells, modules and networks: model, builders, layout and writers."""
