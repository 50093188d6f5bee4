# An installer on a CD: nothing that a package of llama.cpp depends on.
{ }
