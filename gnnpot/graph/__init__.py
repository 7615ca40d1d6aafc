"""What a structure is to a model: graph, neighbors, geometry."""
