# A small system: nothing that a package of llama.cpp depends on.
{ }
