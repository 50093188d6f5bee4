# The programs of an installer: nothing that a package of llama.cpp depends on.
{ }
