"""Functions of a model that can be differentiated, each fast on a CPU and plain torch elsewhere."""
