# Drivers of a guest of QEMU: nothing that a package of llama.cpp depends on.
{ }
