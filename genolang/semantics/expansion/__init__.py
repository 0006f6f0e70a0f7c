"""From texts to blocks: what an expression stands for, and what operations come to at their maps."""
