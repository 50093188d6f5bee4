# Drivers of a QEMU guest: nothing that a package of llama.cpp depends on.
{ }
