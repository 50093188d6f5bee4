# Firmware of hardware that was not detected: nothing that a package of llama.cpp depends on.
{ }
