"""Text and tree: tokens, grammar, syntax tree, parser, formatter."""
