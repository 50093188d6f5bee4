# An LXC container: nothing that a package of llama.cpp depends on.
{ }
