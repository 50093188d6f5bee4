# The source of each part: what it is compiled from, and nothing else. Of the revision alone, so
# that hosts filter and hash it once.
{ source }:
let
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;

  # The tree with what `keep` accepts of each path below the root, such as "/ggml/src".
  filtered =
    name: keep:
    builtins.path {
      name = "${name}-source";
      path = source.outPath;
      filter =
        path: type: keep (builtins.substring (builtins.stringLength source.outPath) (-1) path) type;
    };

  # ggml with these folders of ggml/src. Its base reads one header of the CPU's.
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

  # What neither the library nor the tools are compiled from: what is left out is listed, not
  # what is kept, so that a revision with a new folder still builds.
  isUnread =
    path: type:
    let
      name = baseNameOf path;
    in
    hasPrefix "." name
    || matches ".*[.](md|nix|sh)" name
    || type == "directory" && matches "/(.*/)?tests" path
    # Earlier revisions install one of them.
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
  # ROCm's module is compiled from CUDA's source.
  rocm = ggml "ggml-hip" [
    "ggml-hip"
    "ggml-cuda"
  ];
  vulkan = ggml "ggml-vulkan" [ "ggml-vulkan" ];
  tools = filtered "llama-cpp" (
    path: type:
    !(hasPrefix "/ggml/" path || isUnread path type)
    || builtins.elem path [
      "/ggml/cmake"
      "/ggml/cmake/common.cmake"
    ]
  );
}
