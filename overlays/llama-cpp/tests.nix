# `passthru.tests` of a variant. They inspect the built package without running it, because the
# builder may have another CPU.
{
  lib,
  runCommand,
}:
package: manifest:
let
  inherit (manifest) backends microarch;

  libraryOf = backend: if backend == "rocm" then "hip" else backend;
  modules = map (backend: "libggml-${libraryOf backend}.so") (lib.remove "cpu" backends);
  isSplit = manifest.parts != [ ];
  hasModules = isSplit || microarch == "dispatch" || lib.length backends > 1;
in
{
  # llama-bench writes this revision into its results.
  revision = runCommand "${package.pname}-revision" { } ''
    grep --dereference-recursive --text --fixed-strings --files-with-matches \
      ${lib.substring 0 7 manifest.rev} ${package}/bin ${package}/lib > "$out"
  '';
}
// lib.optionalAttrs hasModules {
  modules = runCommand "${package.pname}-modules" { } ''
    cd ${package}/${if isSplit then "libexec/llama-cpp" else "lib/ggml"}
    ls libggml-cpu*.so ${toString modules} > "$out"
  '';
}
