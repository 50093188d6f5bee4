# A machine without a display: nothing that a package of llama.cpp depends on.
{ }
