# Packages of which only these Ninja targets, and what they need, are built and
# installed, because building all of llama.cpp takes long on two cores. `[ "all" ]`
# builds everything. A function has the attributes of the derivation.
{
  llama-cpp =
    {
      src ? "",
      ...
    }:
    [
      "llama-bench"
      # Whichever completes a prompt. A source that must be fetched has no folder yet.
      (
        if !(src ? drvPath) && builtins.pathExists (src + "/tools/main") then
          "llama-cli"
        else
          "llama-completion"
      )
      "llama-perplexity"
    ];
}
