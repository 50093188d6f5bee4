# Compares the derivations of llama.cpp's packages with the testbed's lib and with
# Nixpkgs' lib.
#
#   nix eval --impure --json --expr 'import ./testbed/tests/same-derivations.nix {
#     tree = PATH-TO-LLAMA.CPP; real = import PATH-TO-NIXPKGS/lib; }'
#
# prints `{ NAME = { same, standIn, real }; … }`.
{
  tree,
  real,
}:
let
  packages =
    lib:
    let
      pkgsFor =
        system: config:
        import ../nixpkgs {
          inherit lib system config;
        };
      upstream = pkgs: (pkgs.callPackage (tree + "/.devops/nix/scope.nix") { }).llama-cpp;
      plain = pkgsFor "x86_64-linux" { };
      cuda = pkgsFor "x86_64-linux" {
        allowUnfree = true;
        cudaSupport = true;
        cudaCapabilities = [ "7.5" ];
      };
      host =
        (import ../nixpkgs/nixos/eval-config.nix {
          inherit lib;
          modules = [
            {
              nixpkgs.hostPlatform = "x86_64-linux";
              networking.hostName = "sample";
              users.users.me.isNormalUser = true;
              services.openssh.enable = true;
              environment.etc."a".text = "b";
            }
          ];
        }).config.system.build.toplevel;
    in
    {
      cpu = upstream plain;
      vulkan = (upstream plain).override { useVulkan = true; };
      tuned = (upstream plain).overrideAttrs (old: {
        cmakeFlags = old.cmakeFlags ++ [ (lib.cmakeBool "GGML_AVX2" true) ];
      });
      cuda = upstream cuda;
      rocm = upstream (pkgsFor "x86_64-linux" { rocmSupport = true; });
      aarch64 = upstream (pkgsFor "aarch64-linux" { });
      nixpkgsOwn = plain.llama-cpp-vulkan;
      nixpkgsOwnCuda = cuda.llama-cpp;
      inherit host;
    };
  standIn = builtins.mapAttrs (_: p: p.drvPath) (packages (import ../nixpkgs/lib));
  realDrvs = builtins.mapAttrs (_: p: p.drvPath) (packages real);
in
builtins.mapAttrs (name: drv: {
  standIn = drv;
  real = realDrvs.${name};
  same = drv == realDrvs.${name};
}) standIn
