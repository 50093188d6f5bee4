# The source of each part: only the files from which it is compiled. Depends only on the revision,
# so that it is filtered and hashed once for all hosts.
{ source }:
let
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;

  # The files that `keep` accepts, by their path below the root, such as "/ggml/src".
  filtered =
    name: keep:
    builtins.path {
      name = "${name}-source";
      path = source.outPath;
      filter =
        path: type: keep (builtins.substring (builtins.stringLength source.outPath) (-1) path) type;
    };

  # ggml with these folders of ggml/src. Its base includes one header of the CPU backend.
  ggml =
    name: folders:
    filtered name (
      path: type:
      let
        inSource = builtins.match "/ggml/src/([^/]+)(/.*)?" path;
        isFile = type != "directory" && builtins.elemAt inSource 1 == null;
      in
      path == "/ggml"
      ||
        hasPrefix "/ggml/" path
        && (inSource == null || isFile || builtins.elem (builtins.head inSource) folders)
      || path == "/ggml/src/ggml-cpu"
      || path == "/ggml/src/ggml-cpu/ggml-cpu-impl.h"
    );

  matches = pattern: text: builtins.match pattern text != null;

  # Files that are not needed to compile the library and the tools. Lists the excluded files instead
  # of the included ones, so that a revision with a new folder still builds.
  isUnused =
    path: type:
    let
      name = baseNameOf path;
    in
    hasPrefix "." name
    || matches ".*[.](md|nix|sh)" name
    || type == "directory" && matches "/(.*/)?tests" path
    # Earlier revisions install a Python script.
    || matches ".*[.]py" name && !(matches "/[^/]*" path && installs name)
    || matches "/(AUTHORS|CODEOWNERS|Makefile|[^/]*[.](ini|lock|toml))" path
    || matches "/(benches|ci|conversion|docs|examples|gguf-py|grammars|media|models|pocs|prompts|requirements|skills)" path
    || matches "/scripts/.*" path && type != "directory" && !matches ".*[.]cmake" name;

  installs =
    let
      text = builtins.readFile "${source.outPath}/CMakeLists.txt";
    in
    name: builtins.length (builtins.split "[ (]${name}" text) > 1;
in
{
  ggml = ggml "ggml" [ ];
  cpu = ggml "ggml-cpu" [ "ggml-cpu" ];
  cuda = ggml "ggml-cuda" [ "ggml-cuda" ];
  # ROCm's module is compiled from CUDA's source files.
  rocm = ggml "ggml-hip" [
    "ggml-hip"
    "ggml-cuda"
  ];
  vulkan = ggml "ggml-vulkan" [ "ggml-vulkan" ];
  tools = filtered "llama-cpp" (
    path: type:
    !(hasPrefix "/ggml/" path || isUnused path type)
    || builtins.elem path [
      "/ggml/cmake"
      "/ggml/cmake/common.cmake"
    ]
  );
}
