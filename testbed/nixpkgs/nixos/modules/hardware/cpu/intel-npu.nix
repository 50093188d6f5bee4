# The driver of Intel's NPU: nothing that a package of llama.cpp depends on.
{ }
