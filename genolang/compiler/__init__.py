"""Graph, passes, and what is made of graphs: from a checked program to a torch module or to source text."""

if __name__ != "genolang.compiler":
    raise ImportError("this folder is the package genolang.compiler; import it by that name")
