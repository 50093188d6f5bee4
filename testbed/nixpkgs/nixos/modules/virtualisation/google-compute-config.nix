# A virtual machine of Google: nothing that a package of llama.cpp depends on.
{ }
