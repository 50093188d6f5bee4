# Packages for which only these Ninja targets and their dependencies are built and installed,
# because building all of llama.cpp takes long on two cores. `[ "all" ]` builds everything. A
# function gets the attributes of the derivation.
{
  llama-cpp =
    {
      src ? "",
      ...
    }:
    [
      "llama-bench"
      # The program that completes a prompt, which depends on the revision. A source that is yet to
      # be fetched has no folder.
      (
        if !(src ? drvPath) && builtins.pathExists (src + "/tools/main") then
          "llama-cli"
        else
          "llama-completion"
      )
      "llama-perplexity"
    ];
}
