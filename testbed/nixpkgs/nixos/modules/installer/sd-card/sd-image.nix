# An image for an SD card: nothing that a package of llama.cpp depends on.
{ }
