# The parts and the whole packages of these CPUs as derivations that were never built, each of
# which writes down the CPU time of its build. ccache is off.
round: microarchs: pkgs:
let
  measured =
    package:
    let
      changed = package.overrideAttrs (prev: {
        CCACHE_DISABLE = "1";
        llamafleetRound = round;
        postInstall = (prev.postInstall or "") + ''
          mkdir -p "$out/nix-support"
          times > "$out/nix-support/cpu-time"
        '';
      });
    in
    {
      inherit (changed) drvPath;
      output = changed.outPath;
    };
  make = args: pkgs.mkLlamaCpp ({ backends = [ "cpu" ]; } // args);
  inherit (make { microarch = builtins.head microarchs; }) parts;
in
{
  ggml = measured parts.ggml;
  tools = measured parts.llama-cpp-tools;
  modules = map (
    microarch: measured (make { inherit microarch; }).parts."ggml-cpu-${microarch}"
  ) microarchs;
  wholes = map (
    microarch:
    measured (make {
      inherit microarch;
      modular = false;
    })
  ) microarchs;
}
