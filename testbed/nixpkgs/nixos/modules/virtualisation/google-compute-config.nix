# A virtual machine of Google Compute Engine: nothing that a package of llama.cpp depends on.
{ }
