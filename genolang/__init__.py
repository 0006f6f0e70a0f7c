"""genolang: a small language for convolutional networks with attention."""
