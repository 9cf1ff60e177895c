"""The networks: a registry of PyTorch CNNs, their data, training and analysis."""
