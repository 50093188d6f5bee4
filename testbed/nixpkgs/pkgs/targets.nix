# Packages of which only the named Ninja targets are built, to spare two-core
# machines the hundred programs that nobody here runs. What these targets need
# is built too, and whatever was built is installed. `[ "all" ]` builds the lot.
{
  llama-cpp = [
    "llama-bench"
    "llama-perplexity"
  ];
}
