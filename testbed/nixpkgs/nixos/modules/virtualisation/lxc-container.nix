# A container of LXC: nothing that a package of llama.cpp depends on.
{ }
