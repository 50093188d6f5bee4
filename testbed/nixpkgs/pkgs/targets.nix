# Packages of which only these Ninja targets, and what they need, are built and
# installed, because building all of llama.cpp takes long on two cores. `[ "all" ]`
# builds everything.
{
  llama-cpp = [
    "llama-bench"
    "llama-perplexity"
  ];
}
